package e2e

import (
	"context"
	"net/netip"
	"strings"

	"nightporter/internal/lab"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// isSYN reports whether a captured frame opens a TCP connection.
func isSYN(frame []byte) bool {
	var p lan.Packet
	return p.Parse(frame) == lan.Accepted && p.SYN()
}

// cutKnock splits "1.2.3.4:5 -> service". An echo request has no port.
func cutKnock(s string) (source netip.AddrPort, service string, ok bool) {
	from, service, ok := strings.Cut(s, " -> ")
	if ip, err := netip.ParseAddr(from); err == nil {
		return netip.AddrPortFrom(ip, 0), service, ok
	}
	source, err := netip.ParseAddrPort(from)
	return source, service, ok && err == nil
}

// clientAddr returns the client's address of ip's family.
func clientAddr(client *lab.Host, ip netip.Addr) netip.Addr {
	if ip.Is4() {
		return client.Addr4()
	}
	return client.Addr6()
}

func servicePort(trigger string) machine.Port {
	switch trigger {
	case "udp":
		return machine.Port{Protocol: machine.UDP, Number: 27015}
	case "icmp":
		return machine.Port{Protocol: machine.ICMP}
	}
	return machine.Port{Protocol: machine.TCP, Number: 22}
}

// attempt is a connection that is opened in the background.
type attempt struct {
	cancel context.CancelFunc
	done   chan error
}

// startConnecting opens a connection in the background, until the test ends or it is canceled.
func (h *harness) startConnecting(from *lab.Host, ip netip.Addr, port uint16) *attempt {
	ctx, cancel := context.WithCancel(h.ctx)
	a := &attempt{cancel: cancel, done: make(chan error, 1)}
	go func() {
		conn, err := from.Dial(ctx, "tcp", netip.AddrPortFrom(ip, port).String())
		if err == nil {
			conn.Close()
		}
		a.done <- err
	}()
	h.Cleanup(cancel)
	return a
}
