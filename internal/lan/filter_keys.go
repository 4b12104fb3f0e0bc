package lan

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"nightporter/internal/ether"
)

// sets returns in's sets as keys. What in repeats is in them once.
func (in Interest) sets() (s sets) {
	own := make(map[netip.Addr]bool, len(in.Own))
	for _, ip := range in.Own {
		ip = plain(ip)
		own[ip] = true
		switch {
		case ip.Is4() && len(s.own4) < maxOwn:
			b := ip.As4()
			s.own4 = append(s.own4, binary.BigEndian.Uint32(b[:]))
		case ip.Is6() && len(s.own6) < maxOwn:
			s.own6 = append(s.own6, words(ip))
		}
	}
	for _, mac := range in.MACs {
		s.macs = append(s.macs, macKey(mac))
	}
	for _, ip := range in.Addrs {
		ip = plain(ip)
		switch {
		case own[ip]:
		case ip.Is4():
			s.addrs4 = append(s.addrs4, addrKey(ip))
		case ip.Is6():
			s.addrs6 = append(s.addrs6, addrKey(ip))
		}
	}
	for _, keys := range []*[]uint32{&s.macs, &s.addrs4, &s.addrs6} {
		slices.Sort(*keys)
		*keys = slices.Compact(*keys)
	}
	return s
}

// plain returns ip as it stands in a packet.
func plain(ip netip.Addr) netip.Addr { return ip.Unmap().WithZone("") }

// words returns the 32-bit words of an IPv6 address.
func words(ip netip.Addr) (w [4]uint32) {
	b := ip.As16()
	for i := range w {
		w[i] = binary.BigEndian.Uint32(b[4*i:])
	}
	return w
}

// macKey and addrKey return the low 31 bits of an address.
func macKey(mac ether.MAC) uint32  { return binary.BigEndian.Uint32(mac[2:]) & keyMask }
func addrKey(ip netip.Addr) uint32 { b := ip.As16(); return binary.BigEndian.Uint32(b[12:]) & keyMask }
