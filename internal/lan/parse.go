package lan

import (
	"encoding/binary"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"nightporter/internal/ether"
)

// Lengths and values of the link layer.
const (
	ethernetHeader = 14
	vlanTag        = 4
	vidMask        = 0x0fff // IEEE 802.1Q: the low 12 bits of the tag
	arpLength      = 28     // RFC 826 with 6-octet hardware and 4-octet protocol addresses

	arpEthernet = 1 // hardware type (RFC 826)
)

// Parse parses frame and sets every field of p but Time and Sum, which are not in the
// frame. It does not allocate, and keeps frame in p.Frame. Unless the verdict is
// Accepted, only Frame and, where the frame has them, Src and Dst are valid.
//
// Parse does not verify TCP and UDP checksums: a frame that never left the host (a
// virtual link) may carry an unfinished one.
func (p *Packet) Parse(frame []byte) Verdict {
	*p = Packet{Time: p.Time, Sum: p.Sum, Frame: frame}
	if len(frame) < ethernetHeader {
		return Truncated
	}
	p.Dst = ether.MAC(frame[0:6])
	p.Src = ether.MAC(frame[6:12])
	etherType, payload := be16(frame[12:]), ethernetHeader
	if etherType == uint16(ethernet.EtherTypeVLAN) {
		if len(frame) < ethernetHeader+vlanTag {
			return Truncated
		}
		// VID 0 is a priority tag: the frame belongs to the untagged network.
		if be16(frame[14:])&vidMask != 0 {
			return ForeignVLAN
		}
		etherType, payload = be16(frame[16:]), ethernetHeader+vlanTag
	}
	switch ethernet.EtherType(etherType) {
	case ethernet.EtherTypeARP:
		return p.parseARP(payload)
	case ethernet.EtherTypeIPv4:
		return p.parseIPv4(payload)
	case ethernet.EtherTypeIPv6:
		return p.parseIPv6(payload)
	case ethernet.EtherTypeServiceVLAN:
		return ForeignVLAN
	}
	return Accepted
}

// parseARP parses the ARP packet at offset at. It accepts Ethernet and IPv4 only (RFC
// 826), and checks the lengths first, because they place the fields.
func (p *Packet) parseARP(at int) Verdict {
	b := p.Frame[at:]
	if len(b) < arpLength {
		return Truncated
	}
	if be16(b) != arpEthernet || be16(b[2:]) != uint16(ethernet.EtherTypeIPv4) || b[4] != 6 || b[5] != 4 {
		return BadARP
	}
	switch arp.Operation(be16(b[6:])) {
	case arp.OperationRequest:
		p.Kind = ARPRequest
	case arp.OperationReply:
		p.Kind = ARPReply
	default:
		return BadARP
	}
	p.SenderMAC = ether.MAC(b[8:14])
	p.From = netip.AddrFrom4([4]byte(b[14:18]))
	p.To = netip.AddrFrom4([4]byte(b[24:28]))
	return Accepted
}

func be16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }
func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }

// Lengths of the headers, without options, and bits of their fields.
const (
	ipv4Header = 20 // RFC 791 section 3.1
	ipv6Header = 40 // RFC 8200 section 3
	tcpHeader  = 20 // RFC 9293 section 3.1
	udpHeader  = 8  // RFC 768
	icmpHeader = 8  // of an echo or an error: RFC 792; RFC 4443 sections 3.1 and 4.1

	moreFragments  = 0x2000
	fragmentOffset = 0x1fff
	reservedBits   = 0x0006 // of the fragment header's field: RFC 8200 section 4.5

	// RFC 8200 has six kinds of extension headers. No legitimate packet has more than
	// this.
	maxExtensions = 8
)

// parseIPv4 parses the IPv4 packet at offset at.
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
	field := be16(b[6:])
	if field&(moreFragments|fragmentOffset) != 0 {
		p.Fragment, p.FragmentID, p.FragmentOf = true, uint32(be16(b[4:])), b[9]
	}
	if field&fragmentOffset != 0 {
		return Accepted
	}
	start, end := at+header, at+total
	switch b[9] {
	case unix.IPPROTO_ICMP:
		p.parseICMP(start, end)
	default:
		p.parsePorts(b[9], start, end)
	}
	return Accepted
}

// parseIPv6 parses the IPv6 packet at offset at.
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
	next, start, fragmentHeader := b[6], at+ipv6Header, false
	if isExtension(next) {
		u := skipExtensions(p.Frame[:end], next, start)
		next, start, fragmentHeader, p.Fragment, p.FragmentID = u.next, u.at, u.fragmentHeader, u.fragment, u.id
	}
	if next == unix.IPPROTO_ICMPV6 && start < end {
		switch p.Frame[start] {
		case byte(ipv6.ICMPTypeNeighborSolicitation), byte(ipv6.ICMPTypeNeighborAdvertisement):
			if fragmentHeader { // RFC 6980 section 5
				return BadNDP
			}
			return p.parseND(start, end)
		}
	}
	p.Kind = IP
	switch next {
	case unix.IPPROTO_ICMPV6:
		p.parseICMPv6(start, end)
	default:
		p.parsePorts(next, start, end)
	}
	return Accepted
}

// upper is what follows the extension headers of an IPv6 packet.
type upper struct {
	// The type of the header at offset at. It is unix.IPPROTO_NONE if there is no
	// transport header to read: in a later fragment, after a header that is cut off,
	// after too many headers.
	next byte
	at   int // its offset

	fragmentHeader bool   // there is a fragment header
	fragment       bool   // the packet is part of a larger one, which an atomic fragment (RFC 6946) is not
	id             uint32 // of the larger one
	rerouted       bool   // a routing header has segments left, so the destination is not the last one
	deprecated     bool   // a routing header is of type 0 (RFC 5095)
}

func isExtension(next byte) bool {
	switch next {
	case unix.IPPROTO_HOPOPTS, unix.IPPROTO_ROUTING, unix.IPPROTO_DSTOPTS, unix.IPPROTO_AH, unix.IPPROTO_FRAGMENT:
		return true
	}
	return false
}

// skipExtensions walks the extension headers of packet (RFC 8200 section 4), starting
// with the header of type next at offset at.
func skipExtensions(packet []byte, next byte, at int) (u upper) {
	u.next, u.at = next, at
	for range maxExtensions {
		if !isExtension(u.next) {
			return u
		}
		length := u.extension(packet[u.at:])
		if length == 0 {
			u.next = unix.IPPROTO_NONE
			return u
		}
		u.next, u.at = packet[u.at], u.at+length
	}
	u.next = unix.IPPROTO_NONE
	return u
}

// extension returns the length of the extension header at the beginning of b and notes
// its content. The length is 0 if nothing that follows can be read.
func (u *upper) extension(b []byte) int {
	if len(b) < 8 { // the shortest extension header
		return 0
	}
	length := (int(b[1]) + 1) * 8
	switch u.next {
	case unix.IPPROTO_ROUTING:
		u.rerouted, u.deprecated = u.rerouted || b[3] != 0, u.deprecated || b[2] == 0
	case unix.IPPROTO_AH: // in units of four octets, minus two (RFC 4302 section 2.2)
		length = (int(b[1]) + 2) * 4
	case unix.IPPROTO_FRAGMENT:
		length = 8
		u.fragmentHeader = true
		if be16(b[2:])&^reservedBits != 0 {
			u.fragment, u.id = true, be32(b[4:])
		}
		if be16(b[2:])&^7 != 0 {
			return 0
		}
	}
	if length > len(b) {
		return 0
	}
	return length
}

// parsePorts parses the TCP or UDP header in p.Frame[at:end]. A truncated or impossible
// header leaves p an IP packet: the machine could not use it either.
func (p *Packet) parsePorts(protocol byte, at, end int) {
	b := p.Frame[at:end]
	switch protocol {
	case unix.IPPROTO_TCP:
		if len(b) < tcpHeader {
			return
		}
		header := tcpLength(b)
		if header < tcpHeader || header > len(b) {
			return
		}
		p.Kind, p.Flags, p.Payload = TCP, b[13], len(b)-header
		p.Seq, p.Ack = be32(b[4:]), be32(b[8:])
	case unix.IPPROTO_UDP:
		if len(b) < udpHeader {
			return
		}
		// The length is that of the whole datagram, so it is larger than a fragment.
		length := int(be16(b[4:]))
		if length < udpHeader || length > len(b) && !p.Fragment {
			return
		}
		p.Kind, p.Payload = UDP, min(length, len(b))-udpHeader
	default:
		return
	}
	p.Transport = at
	p.FromPort, p.ToPort = be16(b), be16(b[2:])
}

// tcpLength returns the length of the TCP header at the beginning of b, with its
// options (RFC 9293 section 3.1: the data offset).
func tcpLength(b []byte) int { return int(b[12]>>4) * 4 }
