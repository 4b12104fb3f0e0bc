package lan

import (
	"encoding/binary"
	"net/netip"

	"nightporter/internal/ether"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
)

// Lengths and values of the link layer.
const (
	ethernetHeader = 14
	vlanTag        = 4
	vidMask        = 0x0fff // IEEE 802.1Q: the low 12 bits of the tag
	arpLength      = 28     // RFC 826 with 6-octet hardware and 4-octet protocol addresses

	arpEthernet = 1 // hardware type (RFC 826)
)

// Parse takes frame apart and sets every field of p but Time and Sum, which are
// not in the frame, and which it leaves as they are. It does not allocate and keeps frame in p.Frame. Unless the verdict
// is Accepted, only Frame and, where the frame has them, Src and Dst mean
// something.
//
// TCP and UDP checksums are not verified: a frame that never left the host (a
// virtual link) may carry one that is unfinished.
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

// parseARP reads the ARP packet that begins at offset at. Only what RFC 826
// makes of Ethernet and IPv4 is let in, lengths first: they place the fields.
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
