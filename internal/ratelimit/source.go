package ratelimit

import (
	"net/netip"

	"nightporter/internal/ether"
)

// Source is a client to which one limit applies. The zero Source is all clients without an IP
// address.
type Source struct {
	mac    ether.MAC    // of a host on the link; zero: prefix counts
	prefix netip.Prefix // where no MAC is known
}

// MACSource returns the source that is the host with a MAC.
func MACSource(mac ether.MAC) Source { return Source{mac: mac} }

// SourceOf returns the source of addr if its link is not known: an IPv4 address, or an IPv6
// network of 64 bits, in which a host may use any number of addresses (RFC 4291 section 2.5.1,
// RFC 8981). The loopback network is one source. Zones are ignored.
func SourceOf(addr netip.Addr) Source {
	addr = plain(addr)
	bits := addr.BitLen()
	switch {
	case addr.Is6() && !addr.IsLoopback():
		bits = 64
	case addr.Is4() && addr.IsLoopback():
		bits = 8 // RFC 1122 section 3.2.1.3 (g)
	}
	return prefixSource(addr, bits)
}

// Locate reports whether an address is on a link of this host, and returns the MAC of its host
// there, zero if that is not known.
type Locate func(netip.Addr) (mac ether.MAC, onLink bool)

// Source returns the source of addr. On the link it is the MAC of the host, or addr alone if the
// MAC is not known: a network of 64 bits may be all hosts of the link. Elsewhere, and with a
// nil Locate, it is that of SourceOf.
func (l Locate) Source(addr netip.Addr) Source {
	if l == nil || !addr.IsValid() || plain(addr).IsLoopback() {
		return SourceOf(addr)
	}
	mac, onLink := l(addr)
	switch {
	case !onLink:
		return SourceOf(addr)
	case mac.Unicast():
		return MACSource(mac)
	}
	addr = plain(addr)
	return prefixSource(addr, addr.BitLen())
}

func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

func prefixSource(addr netip.Addr, bits int) Source {
	p, err := addr.Prefix(bits)
	if err != nil { // only the zero Addr has no prefix
		return Source{}
	}
	return Source{prefix: p}
}

// MAC returns the MAC of the host that the source is, and false where the source
// is an address or a network.
func (s Source) MAC() (ether.MAC, bool) { return s.mac, s.mac != ether.MAC{} }

// String returns a MAC, an address or a prefix.
func (s Source) String() string {
	switch {
	case s.mac != ether.MAC{}:
		return s.mac.String()
	case s.prefix.IsSingleIP():
		return s.prefix.Addr().String()
	}
	return s.prefix.String()
}
