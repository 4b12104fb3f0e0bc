package lan

import (
	"net/netip"

	"github.com/mdlayher/ndp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"nightporter/internal/ether"
)

// The codes for "port unreachable".
const (
	codePort4 = 3 // of ICMP destination unreachable (RFC 792)
	codePort6 = 4 // of ICMPv6 destination unreachable (RFC 4443 section 3.1)
)

// parseICMP parses the ICMP message in p.Frame[at:end]. Everything but a whole echo
// request, echo reply or port unreachable stays an IP packet.
func (p *Packet) parseICMP(at, end int) {
	b := p.Frame[at:end]
	switch {
	case len(b) < icmpHeader:
	case b[0] == byte(ipv4.ICMPTypeEcho) && b[1] == 0:
		p.echo(EchoRequest, at)
	case b[0] == byte(ipv4.ICMPTypeEchoReply) && b[1] == 0:
		p.echo(EchoReply, at)
	case b[0] == byte(ipv4.ICMPTypeDestinationUnreachable) && b[1] == codePort4:
		if p.parseUnreachable4(b[icmpHeader:]) {
			p.Kind, p.Transport = PortUnreachable, at
		}
	}
}

// parseICMPv6 is parseICMP for ICMPv6.
func (p *Packet) parseICMPv6(at, end int) {
	b := p.Frame[at:end]
	switch {
	case len(b) < icmpHeader:
	case b[0] == byte(ipv6.ICMPTypeEchoRequest) && b[1] == 0:
		p.echo(EchoRequest, at)
	case b[0] == byte(ipv6.ICMPTypeEchoReply) && b[1] == 0:
		p.echo(EchoReply, at)
	case b[0] == byte(ipv6.ICMPTypeDestinationUnreachable) && b[1] == codePort6:
		if p.parseUnreachable6(b[icmpHeader:]) {
			p.Kind, p.Transport = PortUnreachable, at
		}
	}
}

// echo parses the echo message at offset at (RFC 792; RFC 4443 section 4).
func (p *Packet) echo(kind Kind, at int) {
	p.Kind, p.Transport = kind, at
	p.EchoID, p.EchoSeq = be16(p.Frame[at+4:]), be16(p.Frame[at+6:])
}

// parseUnreachable4 parses the beginning of the datagram inside an ICMP error. It reports
// whether this is a UDP datagram with its ports.
func (p *Packet) parseUnreachable4(b []byte) bool {
	if len(b) < ipv4Header || b[0]>>4 != 4 || b[9] != unix.IPPROTO_UDP || be16(b[6:])&fragmentOffset != 0 {
		return false
	}
	header := int(b[0]&0x0f) * 4
	if header < ipv4Header || len(b) < header {
		return false
	}
	return p.parseUnreachable(netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])), b[header:])
}

// parseUnreachable6 is parseUnreachable4 for ICMPv6.
func (p *Packet) parseUnreachable6(b []byte) bool {
	if len(b) < ipv6Header || b[0]>>4 != 6 {
		return false
	}
	u := skipExtensions(b, b[6], ipv6Header)
	if u.next != unix.IPPROTO_UDP {
		return false
	}
	return p.parseUnreachable(netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40])), b[u.at:])
}

// parseUnreachable notes the addresses and ports of the datagram with the header udp
// inside an ICMP error. It accepts only an error that goes to the sender of that datagram
// (RFC 1122 section 3.2.2; RFC 4443 section 2.2).
func (p *Packet) parseUnreachable(from, to netip.Addr, udp []byte) bool {
	if len(udp) < 4 || from != p.To {
		return false
	}
	p.Target = to
	p.FromPort, p.ToPort = be16(udp), be16(udp[2:])
	return true
}

const (
	// RFC 4861 section 7.1: a router decrements the hop limit, so 255 proves that the
	// sender is on this link.
	ndHopLimit = 255

	ndLength = 24 // NS and NA without options: RFC 4861 sections 4.3 and 4.4

	flagSolicited = 0x40 // of the NA flags octet: RFC 4861 section 4.4
)

// parseND parses and validates the neighbor solicitation or advertisement in
// p.Frame[at:end] (RFC 4861 sections 7.1.1 and 7.1.2).
func (p *Packet) parseND(at, end int) Verdict {
	b := p.Frame[at:end]
	if len(b) < ndLength || p.Frame[p.Network+7] != ndHopLimit || b[1] != 0 {
		return BadNDP
	}
	p.Target = netip.AddrFrom16([16]byte(b[8:24]))
	if p.Target.IsMulticast() {
		return BadNDP
	}
	kind, direction := NeighborSolicitation, ndp.Source
	if b[0] == byte(ipv6.ICMPTypeNeighborAdvertisement) {
		kind, direction = NeighborAdvertisement, ndp.Target
		p.Solicited = b[4]&flagSolicited != 0
	}
	option, ok := linkLayerOption(b[ndLength:], byte(direction))
	if !ok {
		return BadNDP
	}
	if kind == NeighborSolicitation && p.From.IsUnspecified() && (option != nil || !isSolicitedNode(p.To)) {
		return BadNDP
	}
	if p.Solicited && p.To.IsMulticast() {
		return BadNDP
	}
	if checksum(b, pseudoHeader(p.From, p.To, unix.IPPROTO_ICMPV6, len(b))) != 0 {
		return BadNDP
	}
	if option != nil {
		p.SenderMAC = ether.MAC(option)
	}
	p.Kind, p.Transport = kind, at
	return Accepted
}

// linkLayerOption returns the six octets of the first link-layer address option of type
// code, or nil without one. It is not ok if an option has length 0 or reaches beyond the
// message. An address of another length is not an Ethernet address (RFC 2464 section 6)
// and is skipped.
func linkLayerOption(options []byte, code byte) (address []byte, ok bool) {
	for len(options) > 0 {
		if len(options) < 2 {
			return nil, false
		}
		length := int(options[1]) * 8
		if length == 0 || length > len(options) {
			return nil, false
		}
		if options[0] == code && length == 8 && address == nil {
			address = options[2:8]
		}
		options = options[length:]
	}
	return address, true
}

// isSolicitedNode reports whether ip is in ff02::1:ff00:0/104 (RFC 4291 section 2.7.1).
func isSolicitedNode(ip netip.Addr) bool {
	b := ip.As16()
	return [13]byte(b[:13]) == [13]byte{0: 0xff, 1: 0x02, 11: 0x01, 12: 0xff}
}
