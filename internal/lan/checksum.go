package lan

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// checksum returns the Internet checksum (RFC 1071) of b, on top of the partial sum
// start. Over data with a correct checksum the result is 0.
func checksum(b []byte, start uint64) uint16 {
	sum := start
	for ; len(b) >= 4; b = b[4:] { // two words at a time: the result is the same once the carries are folded in
		sum += uint64(be32(b))
	}
	if len(b) >= 2 {
		sum += uint64(be16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		sum += uint64(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// pseudoHeader returns the partial sum of the pseudo-header of an upper-layer packet of
// length octets (RFC 768; RFC 8200 section 8.1). The sum is the same for both families:
// their fields differ in width, not in value.
func pseudoHeader(from, to netip.Addr, protocol byte, length int) uint64 {
	return addressSum(from) + addressSum(to) + uint64(protocol) + uint64(length)
}

func addressSum(ip netip.Addr) uint64 {
	if ip.Is4() {
		b := ip.As4()
		return uint64(be16(b[0:])) + uint64(be16(b[2:]))
	}
	b := ip.As16()
	var sum uint64
	for i := 0; i < len(b); i += 2 {
		sum += uint64(be16(b[i:]))
	}
	return sum
}

// setChecksum sets the checksum of the whole upper-layer packet b between these
// addresses. protocol is TCP, UDP, ICMP or ICMPv6.
func setChecksum(b []byte, protocol byte, from, to netip.Addr) {
	start := pseudoHeader(from, to, protocol, len(b))
	at := 2 // ICMP and ICMPv6
	switch protocol {
	case unix.IPPROTO_TCP:
		at = 16
	case unix.IPPROTO_UDP:
		at = 6
	case unix.IPPROTO_ICMP:
		start = 0 // no pseudo-header (RFC 792)
	}
	b[at], b[at+1] = 0, 0
	sum := checksum(b, start)
	if sum == 0 && protocol == unix.IPPROTO_UDP {
		sum = 0xffff // 0 means no checksum (RFC 768)
	}
	binary.BigEndian.PutUint16(b[at:], sum)
}

// setHeaderChecksum sets the checksum of an IPv4 header.
func setHeaderChecksum(header []byte) {
	header[10], header[11] = 0, 0
	binary.BigEndian.PutUint16(header[10:], checksum(header, 0))
}
