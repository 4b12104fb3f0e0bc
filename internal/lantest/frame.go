package lantest

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"nightporter/internal/ether"
)

// The flags of a TCP segment (RFC 9293 section 3.1).
const (
	FIN byte = 1
	SYN byte = 2
	RST byte = 4
	ACK byte = 16
)

// SegmentFrame returns an Ethernet frame with a TCP segment over IPv4 or, for flags 0, with a
// UDP datagram. The checksum of the transport is zero: the porter does not verify it.
func SegmentFrame(src, dst ether.MAC, from, to netip.AddrPort, flags byte) []byte {
	transport, protocol := make([]byte, 20), byte(17)
	binary.BigEndian.PutUint16(transport, from.Port())
	binary.BigEndian.PutUint16(transport[2:], to.Port())
	if flags != 0 {
		protocol, transport[12], transport[13] = 6, 5<<4, flags
	} else {
		binary.BigEndian.PutUint16(transport[4:], 20)
	}
	return ipv4Frame(src, dst, from.Addr(), to.Addr(), protocol, transport)
}

// ipv4Frame returns an Ethernet frame with an IPv4 packet whose header has its checksum.
func ipv4Frame(src, dst ether.MAC, from, to netip.Addr, protocol byte, content []byte) []byte {
	f := append(slices.Clone(dst[:]), src[:]...)
	f = append(f, 0x08, 0x00, 0x45, 0)
	f = binary.BigEndian.AppendUint16(f, uint16(20+len(content)))
	f = append(f, 0, 0, 0, 0, 64, protocol, 0, 0)
	f = append(append(f, from.AsSlice()...), to.AsSlice()...)
	SetHeaderSum(f[14:])
	return append(f, content...)
}

// SetHeaderSum sets the checksum of the header of an IPv4 packet (RFC 1071). Kernels drop a
// packet with a wrong one.
func SetHeaderSum(packet []byte) {
	packet[10], packet[11] = 0, 0
	binary.BigEndian.PutUint16(packet[10:], ^sum(packet[:int(packet[0]&15)*4]))
}

// IPv6Frame returns an Ethernet frame with an IPv6 packet. next is the type of the first
// header of the content (RFC 8200 section 3).
func IPv6Frame(src, dst ether.MAC, from, to netip.Addr, next, hops byte, content ...[]byte) []byte {
	payload := slices.Concat(content...)
	f := append(slices.Clone(dst[:]), src[:]...)
	f = append(f, 0x86, 0xdd, 0x60, 0, 0, 0)
	f = binary.BigEndian.AppendUint16(f, uint16(len(payload)))
	f = append(append(append(f, next, hops), from.AsSlice()...), to.AsSlice()...)
	return append(f, payload...)
}

// SYNFrame returns an Ethernet frame that opens a TCP connection, with the checksums that a
// kernel verifies.
func SYNFrame(src, dst ether.MAC, from, to netip.AddrPort) []byte {
	const header = 20
	tcp := binary.BigEndian.AppendUint16(nil, from.Port())
	tcp = binary.BigEndian.AppendUint16(tcp, to.Port())
	tcp = append(tcp, 0, 0, 0, 1, 0, 0, 0, 0, header/4<<4, SYN, 0xff, 0xff, 0, 0, 0, 0)
	pseudo := slices.Concat(from.Addr().AsSlice(), to.Addr().AsSlice(), []byte{0, 6, 0, header}, tcp)
	binary.BigEndian.PutUint16(tcp[16:], ^sum(pseudo))
	if to.Addr().Is6() {
		return IPv6Frame(src, dst, from.Addr(), to.Addr(), 6, 64, tcp)
	}
	frame := SegmentFrame(src, dst, from, to, SYN)
	frame[14+6] = 0x40 // don't fragment
	SetHeaderSum(frame[14:])
	return append(frame[:14+20], tcp...)
}

// sum is the ones' complement sum of an even number of bytes (RFC 1071).
func sum(b []byte) uint16 {
	var s uint32
	for ; len(b) > 0; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
