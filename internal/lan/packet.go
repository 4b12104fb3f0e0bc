package lan

import (
	"fmt"
	"net/netip"
	"time"

	"nightporter/internal/machine"
)

// Kind is what a frame carries.
type Kind uint8

// The kinds of frames.
const (
	Other                 Kind = iota // a well formed frame that is neither ARP nor IP
	ARPRequest                        // RFC 826, also probes and announcements
	ARPReply                          //
	NeighborSolicitation              // RFC 4861, section 4.3
	NeighborAdvertisement             // RFC 4861, section 4.4
	TCP                               //
	UDP                               //
	EchoRequest                       // ICMP or ICMPv6
	IP                                // any other IP packet, also one without a whole transport header
)

var kindNames = [...]string{
	"other", "arp request", "arp reply", "neighbor solicitation", "neighbor advertisement",
	"tcp", "udp", "echo request", "ip",
}

// String returns the kind's name for logs.
func (k Kind) String() string {
	if int(k) >= len(kindNames) {
		return fmt.Sprintf("kind(%d)", uint8(k))
	}
	return kindNames[k]
}

// Verdict is why a frame was thrown away, or that it was not.
type Verdict uint8

// The verdicts.
const (
	Accepted    Verdict = iota
	Truncated           // shorter than its own headers say
	BadARP              // not Ethernet and IPv4, or neither request nor reply
	BadIP               // a version or a length that cannot be
	BadNDP              // fails the validation of RFC 4861, section 7.1
	ForeignVLAN         // tagged for another VLAN
	verdicts
)

var verdictNames = [verdicts]string{
	"accepted", "truncated", "bad_arp", "bad_ip", "bad_ndp", "foreign_vlan",
}

// String returns the verdict's name, fit for a metric label.
func (v Verdict) String() string {
	if v >= verdicts {
		return fmt.Sprintf("verdict(%d)", uint8(v))
	}
	return verdictNames[v]
}

// Packet is one frame, taken apart as far as the porter looks into it.
type Packet struct {
	Time      time.Time   // when the kernel received it, by the wall clock; zero if unknown
	Frame     []byte      // the whole frame; valid only until the handler returns
	Src, Dst  machine.MAC // of the Ethernet header
	Kind      Kind
	From, To  netip.Addr  // ARP: sender and target protocol address; IP: source and destination; otherwise invalid
	SenderMAC machine.MAC // ARP: sender hardware address; NS: source link-layer option, NA: target link-layer option, zero without one
	Target    netip.Addr  // NS and NA: the target
	Solicited bool        // NA: the S flag

	FromPort, ToPort uint16 // TCP and UDP
	Flags            byte   // TCP: the flags octet

	Network, Transport int // offsets of the IP and the transport header in Frame; 0 where there is none
}

// The bits of the TCP flags octet (RFC 9293, section 3.1).
const (
	tcpFIN = 1 << 0
	tcpSYN = 1 << 1
	tcpRST = 1 << 2
	tcpACK = 1 << 4
)

// SYN reports whether p opens a TCP connection: SYN is set, and none of ACK,
// RST and FIN.
func (p *Packet) SYN() bool {
	return p.Kind == TCP && p.Flags&(tcpSYN|tcpACK|tcpRST|tcpFIN) == tcpSYN
}
