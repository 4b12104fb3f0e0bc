package lan

import (
	"fmt"
	"net/netip"
	"time"

	"nightporter/internal/ether"
)

// Kind is what a frame carries.
type Kind uint8

// The kinds of frames.
const (
	Other                 Kind = iota // a well formed frame that is neither ARP nor IP; Run passes none on
	ARPRequest                        // RFC 826, also probes and announcements
	ARPReply                          //
	NeighborSolicitation              // RFC 4861 section 4.3
	NeighborAdvertisement             // RFC 4861 section 4.4
	TCP                               //
	UDP                               //
	EchoRequest                       // ICMP or ICMPv6
	EchoReply                         // ICMP or ICMPv6; some network cards send it while their machine sleeps
	PortUnreachable                   // ICMP (RFC 792) or ICMPv6 (RFC 4443 section 3.1), about a UDP datagram
	IP                                // any other IP packet, also one without a whole transport header
)

var kindNames = [...]string{
	"other", "arp request", "arp reply", "neighbor solicitation", "neighbor advertisement",
	"tcp", "udp", "echo request", "echo reply", "port unreachable", "ip",
}

// String returns the kind's name for logs.
func (k Kind) String() string {
	if int(k) >= len(kindNames) {
		return fmt.Sprintf("kind(%d)", uint8(k))
	}
	return kindNames[k]
}

// Verdict is the reason why a frame was rejected, or Accepted.
type Verdict uint8

// The verdicts.
const (
	Accepted    Verdict = iota
	Truncated           // shorter than its own headers say
	BadARP              // not Ethernet and IPv4, or neither request nor reply
	BadIP               // an impossible version or length
	BadNDP              // fails the validation of RFC 4861 section 7.1
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

// Checksum is the state of the checksum of TCP, UDP or ICMP in a packet, as the kernel
// reports it.
type Checksum uint8

// The states of a checksum.
const (
	Unchecked  Checksum = iota // the kernel reports nothing
	Verified                   // the network card found it correct
	Unfinished                 // the sender left it to a network card, and the frame passed none
)

// Packet is one parsed frame.
type Packet struct {
	Time      time.Time // when the kernel received it, by the wall clock; zero if unknown
	Sum       Checksum  // of the transport header
	Frame     []byte    // the whole frame; valid only until the handler returns
	Src, Dst  ether.MAC // of the Ethernet header
	Kind      Kind
	From, To  netip.Addr // ARP: sender and target protocol address; IP: source and destination; otherwise invalid
	SenderMAC ether.MAC  // ARP: sender hardware address; NS: source link-layer option, NA: target link-layer option, zero without one
	Target    netip.Addr // NS and NA: the target; PortUnreachable: the destination of the datagram
	Solicited bool       // NA: the S flag

	FromPort, ToPort uint16 // TCP and UDP; PortUnreachable: those of the datagram, as it was sent
	Flags            byte   // TCP: the octet of flags
	Seq, Ack         uint32 // TCP: sequence and acknowledgment number
	EchoID, EchoSeq  uint16 // EchoRequest and EchoReply: identifier and sequence number
	Payload          int    // TCP and UDP: octets of payload; in a first fragment those of this frame

	// Fragment reports a part of a fragmented packet, the first or a later one. All
	// parts have the same From, To, identification and, in IPv4, protocol (RFC 791
	// section 3.2; RFC 8200 section 4.5). The two last are 0 in other packets.
	Fragment   bool
	FragmentID uint32
	FragmentOf byte

	Network, Transport int // offsets of the IP and the transport header in Frame; 0 without one
}

// The bits of the TCP flags octet (RFC 9293 section 3.1).
const (
	tcpFIN = 1 << 0
	tcpSYN = 1 << 1
	tcpRST = 1 << 2
	tcpPSH = 1 << 3
	tcpACK = 1 << 4
	tcpCWR = 1 << 7
)

// SYN reports whether p opens a TCP connection: SYN is set, and none of ACK,
// RST and FIN.
func (p *Packet) SYN() bool {
	return p.Kind == TCP && p.Flags&(tcpSYN|tcpACK|tcpRST|tcpFIN) == tcpSYN
}

// SYNACK reports whether p accepts a TCP connection: SYN and ACK are set, and neither RST
// nor FIN.
func (p *Packet) SYNACK() bool {
	return p.Kind == TCP && p.Flags&(tcpSYN|tcpACK|tcpRST|tcpFIN) == tcpSYN|tcpACK
}

// RST reports whether p refuses or ends a TCP connection.
func (p *Packet) RST() bool { return p.Kind == TCP && p.Flags&tcpRST != 0 }

// Data reports whether p carries data of an established TCP connection: ACK is set, SYN,
// RST and FIN are clear, and there is a payload. A single octet without PSH does not
// count: the keep-alives of Windows and BSD repeat one octet that was acknowledged before
// (RFC 9293 section 3.8.4).
func (p *Packet) Data() bool {
	return p.Kind == TCP && p.Flags&(tcpSYN|tcpACK|tcpRST|tcpFIN) == tcpACK &&
		(p.Payload > 1 || p.Payload == 1 && p.Flags&tcpPSH != 0)
}
