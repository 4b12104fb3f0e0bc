package machine

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Protocol is the protocol of a service, which defines what counts as a knock on it.
type Protocol uint8

// The protocols a service can be registered for.
const (
	TCP  Protocol = iota + 1 // a SYN knocks
	UDP                      // any datagram knocks
	ICMP                     // an echo request knocks; the service has no port
)

var protocolNames = [...]string{TCP: "tcp", UDP: "udp", ICMP: "icmp"}

// String returns "tcp", "udp" or "icmp".
func (p Protocol) String() string {
	if p < TCP || p > ICMP {
		return fmt.Sprintf("protocol(%d)", uint8(p))
	}
	return protocolNames[p]
}

// Port is one entry of a "port" list: a protocol, and a port where the
// protocol has them.
type Port struct {
	Protocol Protocol
	Number   uint16 // 0 for ICMP
}

// String returns the form ParsePort reads.
func (p Port) String() string {
	if p.Protocol == ICMP {
		return "icmp"
	}
	return strconv.Itoa(int(p.Number)) + "/" + p.Protocol.String()
}

// Compare orders ports by protocol and number.
func (p Port) Compare(q Port) int {
	return cmp.Or(cmp.Compare(p.Protocol, q.Protocol), cmp.Compare(p.Number, q.Number))
}

// ParsePort reads one entry of a "port" list: "22/tcp", "51820/udp", "icmp",
// or a bare number, which means both TCP and UDP.
func ParsePort(s string) ([]Port, error) {
	if s == "icmp" {
		return []Port{{Protocol: ICMP}}, nil
	}
	number, proto, named := strings.Cut(s, "/")
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 || number[0] == '+' {
		return nil, portError(s)
	}
	switch {
	case !named:
		return []Port{{TCP, uint16(n)}, {UDP, uint16(n)}}, nil
	case proto == "tcp":
		return []Port{{TCP, uint16(n)}}, nil
	case proto == "udp":
		return []Port{{UDP, uint16(n)}}, nil
	}
	return nil, portError(s)
}

func portError(s string) error {
	return fmt.Errorf(`%q is not a port: expected 1 to 65535, "22/tcp", "51820/udp" or "icmp"`, s)
}

// Service is one thing a machine offers: a packet for it is a reason to wake.
type Service struct {
	Addr netip.Addr
	Port
}

// String returns for example "192.168.1.5:22/tcp" or "192.168.1.5/icmp".
func (s Service) String() string {
	if s.Protocol == ICMP {
		return s.Addr.String() + "/icmp"
	}
	return netip.AddrPortFrom(s.Addr, s.Number).String() + "/" + s.Protocol.String()
}

// Names returns the services as String does.
func Names(services []Service) []string {
	names := make([]string, len(services))
	for i, s := range services {
		names[i] = s.String()
	}
	return names
}
