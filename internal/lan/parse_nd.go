package lan

import (
	"net/netip"

	"nightporter/internal/ether"

	"github.com/mdlayher/ndp"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

const (
	// RFC 4861, section 7.1: a message that a router forwarded has a smaller
	// hop limit, so 255 proves that the sender is on this link.
	ndHopLimit = 255

	ndLength = 24 // NS and NA without options: RFC 4861, sections 4.3 and 4.4

	flagSolicited = 0x40 // of the NA flags octet: RFC 4861, section 4.4
)

// parseND reads and validates (RFC 4861, sections 7.1.1 and 7.1.2) the
// neighbour solicitation or advertisement in p.Frame[at:end].
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

// linkLayerOption returns the six octets of the first link-layer address option
// of type code, or nil without one. It is not ok if an option has length 0 or
// reaches beyond the message. An address of another length is not Ethernet's
// (RFC 2464, section 6), and passed over.
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

// isSolicitedNode reports whether ip is in ff02::1:ff00:0/104 (RFC 4291,
// section 2.7.1).
func isSolicitedNode(ip netip.Addr) bool {
	b := ip.As16()
	return [13]byte(b[:13]) == [13]byte{0: 0xff, 1: 0x02, 11: 0x01, 12: 0xff}
}
