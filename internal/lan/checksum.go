package lan

import "net/netip"

// checksum returns the Internet checksum (RFC 1071) of b, on top of the partial
// sum start. Over data that carries a right checksum the result is 0.
func checksum(b []byte, start uint64) uint16 {
	sum := start
	for ; len(b) >= 2; b = b[2:] {
		sum += uint64(be16(b))
	}
	if len(b) == 1 {
		sum += uint64(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// pseudoHeader returns the partial sum of the pseudo-header of an upper-layer
// packet of length octets (RFC 768; RFC 8200, section 8.1). Both families lead
// to the same sum: the fields differ in width, not in value.
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
