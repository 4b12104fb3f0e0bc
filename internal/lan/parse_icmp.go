package lan

import (
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// The codes for "port unreachable".
const (
	codePort4 = 3 // of ICMP destination unreachable (RFC 792)
	codePort6 = 4 // of ICMPv6 destination unreachable (RFC 4443, section 3.1)
)

// parseICMP reads the ICMP message in p.Frame[at:end]. Anything but a whole echo
// request or reply, or port unreachable, stays an IP packet.
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

// echo takes the echo message at offset at (RFC 792; RFC 4443, section 4).
func (p *Packet) echo(kind Kind, at int) {
	p.Kind, p.Transport = kind, at
	p.EchoID, p.EchoSeq = be16(p.Frame[at+4:]), be16(p.Frame[at+6:])
}

// parseUnreachable4 reads the beginning of the datagram that an ICMP error is
// about. It reports whether this is a UDP datagram with its ports.
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

// parseUnreachable takes what p says of a datagram, of which udp is the header.
// An error goes to the sender of the datagram (RFC 1122, section 3.2.2; RFC 4443,
// section 2.2); one that does not is no more believed than any other IP packet.
func (p *Packet) parseUnreachable(from, to netip.Addr, udp []byte) bool {
	if len(udp) < 4 || from != p.To {
		return false
	}
	p.Target = to
	p.FromPort, p.ToPort = be16(udp), be16(udp[2:])
	return true
}
