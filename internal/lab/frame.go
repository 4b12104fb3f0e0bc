package lab

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"

	"nightporter/internal/ether"
)

// EtherTypeWakeOnLAN marks a magic packet sent without IP around it.
const EtherTypeWakeOnLAN ethernet.EtherType = 0x0842

const (
	ethernetHeader = 14
	ipv4Header     = 20
	ipv6Header     = 40
	arpPacket      = 28
	protocolUDP    = 17
	protocolICMPv6 = 58
	// ndpHopLimit is what every neighbor discovery message must carry
	// (RFC 4861 section 7.1): proof that no router forwarded it.
	ndpHopLimit = 255
)

// ARP operations (RFC 826).
const (
	arpRequest = 1
	arpReply   = 2
)

// A Frame is an Ethernet frame as it passed an interface.
type Frame struct {
	Time     time.Time // the kernel's timestamp
	Outgoing bool      // sent by the host, as opposed to received
	Data     []byte
}

// Dst returns the destination MAC, or zero for a frame that is too short.
func (f Frame) Dst() ether.MAC { return f.mac(0) }

// Src returns the source MAC, or zero for a frame that is too short.
func (f Frame) Src() ether.MAC { return f.mac(6) }

func (f Frame) mac(at int) ether.MAC {
	if len(f.Data) < ethernetHeader {
		return ether.MAC{}
	}
	return ether.MAC(f.Data[at : at+6])
}

// EtherType returns the type field, or 0 for a frame that is too short. Of a
// frame with a VLAN tag it is the tag's.
func (f Frame) EtherType() ethernet.EtherType {
	if len(f.Data) < ethernetHeader {
		return 0
	}
	return ethernet.EtherType(binary.BigEndian.Uint16(f.Data[12:14]))
}

// Payload returns what follows the Ethernet header.
func (f Frame) Payload() []byte {
	if len(f.Data) < ethernetHeader {
		return nil
	}
	return f.Data[ethernetHeader:]
}

// String returns a line for logs and failed tests.
func (f Frame) String() string {
	dir := "in"
	if f.Outgoing {
		dir = "out"
	}
	return fmt.Sprintf("%s %s > %s %s %d bytes", dir, f.Src(), f.Dst(), f.EtherType(), len(f.Data))
}

func buildFrame(dst, src ether.MAC, typ ethernet.EtherType, payload []byte) []byte {
	b := make([]byte, 0, ethernetHeader+len(payload))
	b = append(append(b, dst[:]...), src[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(typ))
	return append(b, payload...)
}

// An arpMessage is an Ethernet/IPv4 ARP packet (RFC 826).
type arpMessage struct {
	op                   uint16
	senderMAC, targetMAC ether.MAC
	senderIP, targetIP   netip.Addr // IPv4
}

func (m arpMessage) frame(dst ether.MAC) []byte {
	// Hardware type Ethernet, protocol type IPv4, address lengths 6 and 4.
	b := []byte{0, 1, 0x08, 0x00, 6, 4}
	b = binary.BigEndian.AppendUint16(b, m.op)
	sender, target := m.senderIP.As4(), m.targetIP.As4()
	b = append(append(b, m.senderMAC[:]...), sender[:]...)
	b = append(append(b, m.targetMAC[:]...), target[:]...)
	return buildFrame(dst, m.senderMAC, ethernet.EtherTypeARP, b)
}

// parseARP reads a frame's ARP packet; false if it is not a whole one.
func parseARP(f Frame) (arpMessage, bool) {
	b := f.Payload()
	if f.EtherType() != ethernet.EtherTypeARP || len(b) < arpPacket {
		return arpMessage{}, false
	}
	if [6]byte(b[:6]) != [6]byte{0, 1, 0x08, 0x00, 6, 4} {
		return arpMessage{}, false
	}
	return arpMessage{
		op:        binary.BigEndian.Uint16(b[6:8]),
		senderMAC: ether.MAC(b[8:14]), senderIP: netip.AddrFrom4([4]byte(b[14:18])),
		targetMAC: ether.MAC(b[18:24]), targetIP: netip.AddrFrom4([4]byte(b[24:28])),
	}, true
}

// multicastMAC maps an IPv6 multicast address to Ethernet (RFC 2464,
// section 7).
func multicastMAC(ip netip.Addr) ether.MAC {
	b := ip.As16()
	return ether.MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// ndpFrame wraps a neighbor discovery message.
func ndpFrame(dstMAC, srcMAC ether.MAC, dst, src netip.Addr, m ndp.Message) ([]byte, error) {
	body, err := ndp.MarshalMessageChecksum(m, src, dst)
	if err != nil {
		return nil, fmt.Errorf("build %T: %w", m, err)
	}
	s, d := src.As16(), dst.As16()
	b := []byte{0x60, 0, 0, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	b = append(b, protocolICMPv6, ndpHopLimit)
	b = append(append(append(b, s[:]...), d[:]...), body...)
	return buildFrame(dstMAC, srcMAC, ethernet.EtherTypeIPv6, b), nil
}

// advertisement announces ip at mac: unsolicited to all nodes, or solicited
// to the one who asked (RFC 4861 section 4.4).
func advertisement(mac ether.MAC, ip, dst netip.Addr, dstMAC ether.MAC, solicited bool) ([]byte, error) {
	return ndpFrame(dstMAC, mac, dst, ip, &ndp.NeighborAdvertisement{
		Solicited: solicited, Override: true, TargetAddress: ip,
		Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: net.HardwareAddr(mac[:])}},
	})
}

// A solicitation is a neighbor solicitation with its envelope.
type solicitation struct {
	src    netip.Addr // unspecified: duplicate address detection
	srcMAC ether.MAC
	target netip.Addr
}

// parseSolicitation reads a frame's neighbor solicitation; false if it is
// none, or did not come from the link itself.
func parseSolicitation(f Frame) (solicitation, bool) {
	b := f.Payload()
	if f.EtherType() != ethernet.EtherTypeIPv6 || len(b) < ipv6Header {
		return solicitation{}, false
	}
	if b[6] != protocolICMPv6 || b[7] != ndpHopLimit {
		return solicitation{}, false
	}
	end := ipv6Header + int(binary.BigEndian.Uint16(b[4:6]))
	if end > len(b) {
		return solicitation{}, false
	}
	m, err := ndp.ParseMessage(b[ipv6Header:end])
	if err != nil {
		return solicitation{}, false
	}
	ns, ok := m.(*ndp.NeighborSolicitation)
	if !ok {
		return solicitation{}, false
	}
	src := netip.AddrFrom16([16]byte(b[8:24]))
	return solicitation{src: src, srcMAC: f.Src(), target: ns.TargetAddress}, true
}

// checksum is the internet checksum (RFC 1071) of the parts in a row; every
// part but the last has an even length.
func checksum(parts ...[]byte) uint16 {
	var sum uint32
	for _, b := range parts {
		for len(b) >= 2 {
			sum += uint32(binary.BigEndian.Uint16(b))
			b = b[2:]
		}
		if len(b) == 1 {
			sum += uint32(b[0]) << 8
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// udpFrame builds a UDP datagram over IPv4 with both checksums.
func udpFrame(dstMAC, srcMAC ether.MAC, src, dst netip.AddrPort, payload []byte) []byte {
	s, d := src.Addr().As4(), dst.Addr().As4()
	udp := binary.BigEndian.AppendUint16(nil, src.Port())
	udp = binary.BigEndian.AppendUint16(udp, dst.Port())
	udp = binary.BigEndian.AppendUint16(udp, uint16(8+len(payload)))
	udp = append(append(udp, 0, 0), payload...)

	pseudo := append(append([]byte{}, s[:]...), d[:]...)
	pseudo = append(pseudo, 0, protocolUDP)
	pseudo = binary.BigEndian.AppendUint16(pseudo, uint16(len(udp)))
	sum := checksum(pseudo, udp)
	if sum == 0 {
		sum = 0xffff // zero on the wire means "no checksum" (RFC 768)
	}
	binary.BigEndian.PutUint16(udp[6:], sum)

	ip := []byte{0x45, 0}
	ip = binary.BigEndian.AppendUint16(ip, uint16(ipv4Header+len(udp)))
	ip = append(ip, 0, 0, 0, 0, 64, protocolUDP, 0, 0)
	ip = append(append(ip, s[:]...), d[:]...)
	binary.BigEndian.PutUint16(ip[10:], checksum(ip))
	return buildFrame(dstMAC, srcMAC, ethernet.EtherTypeIPv4, append(ip, udp...))
}
