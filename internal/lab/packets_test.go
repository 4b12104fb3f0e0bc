package lab_test

import (
	"encoding/binary"
	"net/netip"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
)

// udp4 is a datagram to 10.77.0.255 over IPv4; no receiver here verifies its checksum.
func udp4(port uint16, payload []byte) []byte {
	ip := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 77, 0, 2, 10, 77, 0, 255}
	binary.BigEndian.PutUint16(ip[2:], uint16(28+len(payload)))
	return append(ip, udpDatagram(port, payload)...)
}

// udp6 is a datagram from fd77::2 to all nodes over IPv6.
func udp6(port uint16, payload []byte) []byte {
	src, dst := netip.MustParseAddr("fd77::2").As16(), netip.IPv6LinkLocalAllNodes().As16()
	ip := []byte{0x60, 0, 0, 0}
	ip = binary.BigEndian.AppendUint16(ip, uint16(8+len(payload)))
	ip = append(append(append(ip, 17, 1), src[:]...), dst[:]...)
	return append(ip, udpDatagram(port, payload)...)
}

func udpDatagram(port uint16, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0x9c, 0x40}, port)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	return append(append(b, 0, 0), payload...)
}

func isARP(f lab.Frame) bool { return f.EtherType() == 0x0806 }

// isARPFrom reports whether f is an ARP packet with these senders and target.
func isARPFrom(f lab.Frame, mac ether.MAC, sender, target netip.Addr) bool {
	b := f.Payload()
	return isARP(f) && len(b) >= 28 && ether.MAC(b[8:14]) == mac &&
		netip.AddrFrom4([4]byte(b[14:18])) == sender && netip.AddrFrom4([4]byte(b[24:28])) == target
}

// isUnsolicited reports whether f is an unsolicited neighbor advertisement to
// all nodes that says that mac has ip.
func isUnsolicited(f lab.Frame, mac ether.MAC, ip netip.Addr) bool {
	b := f.Payload()
	const advertisement, icmpAt, flagsAt, targetAt, override = 136, 40, 44, 48, 0x20
	return f.EtherType() == 0x86dd && len(b) == 72 && b[icmpAt] == advertisement && b[flagsAt] == override &&
		netip.AddrFrom16([16]byte(b[targetAt:targetAt+16])) == ip && netip.AddrFrom16([16]byte(b[8:24])) == ip &&
		b[24] == 0xff && ether.MAC(b[66:72]) == mac
}

// isAnswer reports whether f is a solicited neighbor advertisement for ip.
func isAnswer(f lab.Frame, ip netip.Addr) bool {
	b := f.Payload()
	const advertisement, icmpAt, flagsAt, targetAt, solicited = 136, 40, 44, 48, 0x40
	return f.EtherType() == 0x86dd && len(b) >= targetAt+16 && b[6] == 58 && b[icmpAt] == advertisement &&
		b[flagsAt]&solicited != 0 && netip.AddrFrom16([16]byte(b[targetAt:targetAt+16])) == ip
}

// isSolicitation reports whether f is a neighbor solicitation for target.
func isSolicitation(f lab.Frame, src, target netip.Addr) bool {
	b := f.Payload()
	const solicitation, icmpAt, targetAt = 135, 40, 48
	return f.EtherType() == 0x86dd && len(b) >= targetAt+16 && b[6] == 58 && b[icmpAt] == solicitation &&
		netip.AddrFrom16([16]byte(b[8:24])) == src && netip.AddrFrom16([16]byte(b[targetAt:targetAt+16])) == target
}
