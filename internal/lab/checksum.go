package lab

import (
	"encoding/binary"
	"net/netip"

	"nightporter/internal/ether"

	"github.com/mdlayher/ethernet"
)

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
