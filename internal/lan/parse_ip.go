package lan

import (
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// Lengths of the headers, without options, and bits of their fields.
const (
	ipv4Header = 20 // RFC 791, section 3.1
	ipv6Header = 40 // RFC 8200, section 3
	tcpHeader  = 20 // RFC 9293, section 3.1
	udpHeader  = 8  // RFC 768
	echoHeader = 8  // RFC 792 and RFC 4443, section 4.1

	moreFragments  = 0x2000
	fragmentOffset = 0x1fff

	// A packet with more extension headers than this is nothing an honest
	// client sends; RFC 8200 has six kinds of them.
	maxExtensions = 8
)

// parseIPv4 reads the IPv4 packet that begins at offset at.
func (p *Packet) parseIPv4(at int) Verdict {
	b := p.Frame[at:]
	if len(b) < ipv4Header {
		return Truncated
	}
	header, total := int(b[0]&0x0f)*4, int(be16(b[2:]))
	if b[0]>>4 != 4 || header < ipv4Header || total < header {
		return BadIP
	}
	if total > len(b) {
		return Truncated
	}
	p.Kind, p.Network = IP, at
	p.From = netip.AddrFrom4([4]byte(b[12:16]))
	p.To = netip.AddrFrom4([4]byte(b[16:20]))
	fragment := be16(b[6:])
	if fragment&fragmentOffset != 0 {
		return Accepted
	}
	start, end := at+header, at+total
	switch b[9] {
	case unix.IPPROTO_ICMP:
		p.parseEcho(start, end, byte(ipv4.ICMPTypeEcho))
	default:
		p.parsePorts(b[9], start, end, fragment&moreFragments != 0)
	}
	return Accepted
}

// parseIPv6 reads the IPv6 packet that begins at offset at.
func (p *Packet) parseIPv6(at int) Verdict {
	b := p.Frame[at:]
	if len(b) < ipv6Header {
		return Truncated
	}
	if b[0]>>4 != 6 {
		return BadIP
	}
	end := at + ipv6Header + int(be16(b[4:]))
	if end > len(p.Frame) {
		return Truncated
	}
	p.Network = at
	p.From = netip.AddrFrom16([16]byte(b[8:24]))
	p.To = netip.AddrFrom16([16]byte(b[24:40]))
	next, start, fragment := skipExtensions(p.Frame[:end], b[6], at+ipv6Header)
	if next == unix.IPPROTO_ICMPV6 && start < end {
		switch p.Frame[start] {
		case byte(ipv6.ICMPTypeNeighborSolicitation), byte(ipv6.ICMPTypeNeighborAdvertisement):
			if fragment { // RFC 6980, section 5
				return BadNDP
			}
			return p.parseND(start, end)
		}
	}
	p.Kind = IP
	switch next {
	case unix.IPPROTO_ICMPV6:
		p.parseEcho(start, end, byte(ipv6.ICMPTypeEchoRequest))
	default:
		p.parsePorts(next, start, end, fragment)
	}
	return Accepted
}

// skipExtensions walks the extension headers of packet (RFC 8200, section 4)
// from the one of type next at offset at. It returns the type and the offset of
// what follows them, and whether the packet is a first fragment.
// unix.IPPROTO_NONE stands for everything that has no transport header here: a
// later fragment, a header that is cut off, too many headers.
func skipExtensions(packet []byte, next byte, at int) (byte, int, bool) {
	fragment := false
	for range maxExtensions {
		var length int
		switch next {
		case unix.IPPROTO_HOPOPTS, unix.IPPROTO_ROUTING, unix.IPPROTO_DSTOPTS:
			if at+2 > len(packet) {
				return unix.IPPROTO_NONE, at, fragment
			}
			length = (int(packet[at+1]) + 1) * 8
		case unix.IPPROTO_AH: // counts in units of four octets, minus two (RFC 4302, section 2.2)
			if at+2 > len(packet) {
				return unix.IPPROTO_NONE, at, fragment
			}
			length = (int(packet[at+1]) + 2) * 4
		case unix.IPPROTO_FRAGMENT:
			length = 8
			if at+length > len(packet) || be16(packet[at+2:])&^7 != 0 {
				return unix.IPPROTO_NONE, at, fragment
			}
			fragment = true
		default:
			return next, at, fragment
		}
		if at+length > len(packet) {
			return unix.IPPROTO_NONE, at, fragment
		}
		next, at = packet[at], at+length
	}
	return unix.IPPROTO_NONE, at, fragment
}

// parsePorts reads the TCP or UDP header in p.Frame[at:end]. Where it is not
// whole, or impossible, p stays an IP packet: the machine could do nothing with
// it either.
func (p *Packet) parsePorts(protocol byte, at, end int, fragment bool) {
	b := p.Frame[at:end]
	switch protocol {
	case unix.IPPROTO_TCP:
		if len(b) < tcpHeader {
			return
		}
		if header := int(b[12]>>4) * 4; header < tcpHeader || header > len(b) {
			return
		}
		p.Kind, p.Flags = TCP, b[13]
	case unix.IPPROTO_UDP:
		if len(b) < udpHeader {
			return
		}
		// The length counts the whole datagram, so in a fragment it is larger.
		if length := int(be16(b[4:])); length < udpHeader || length > len(b) && !fragment {
			return
		}
		p.Kind = UDP
	default:
		return
	}
	p.Transport = at
	p.FromPort, p.ToPort = be16(b), be16(b[2:])
}

// parseEcho reads the ICMP or ICMPv6 message in p.Frame[at:end]. Anything but a
// whole echo request, which is what has type request, stays an IP packet.
func (p *Packet) parseEcho(at, end int, request byte) {
	b := p.Frame[at:end]
	if len(b) < echoHeader || b[0] != request || b[1] != 0 {
		return
	}
	p.Kind, p.Transport = EchoRequest, at
}
