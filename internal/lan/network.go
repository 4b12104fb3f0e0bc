package lan

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"nightporter/internal/ether"

	"github.com/jsimonetti/rtnetlink/v2"
	"golang.org/x/sys/unix"
)

// Network is what the kernel says of one interface and the network behind it.
type Network struct {
	Name     string
	Index    int
	MAC      ether.MAC
	Prefixes []netip.Prefix // our own addresses with their prefix lengths; none that is tentative, a duplicate or BindAddr's
	OnLink   []netip.Prefix // what is reached by this interface without a gateway, sorted, each once
	Gateways []netip.Addr   // the next hops of all routes out of this interface, sorted, each once
}

// ReadNetwork asks the kernel about the interface with the given index. It is
// an error if there is none.
func ReadNetwork(index int) (Network, error) {
	var n Network
	err := withNetlink(func(c *rtnl) (err error) {
		n, err = c.network(index)
		return err
	})
	if err != nil {
		return Network{}, fmt.Errorf("interface %d: %w", index, err)
	}
	return n, nil
}

func (c *rtnl) network(index int) (Network, error) {
	link, _, err := c.link(index, "")
	if err != nil {
		return Network{}, err
	}
	addresses, err := c.addresses()
	if err != nil {
		return Network{}, err
	}
	routes, err := c.routes()
	if err != nil {
		return Network{}, err
	}
	return Network{
		Name: link.Name, Index: index, MAC: macOf(link),
		Prefixes: prefixes(addresses, index), OnLink: onLink(addresses, routes, index), Gateways: gateways(routes, index),
	}, nil
}

// Own reports whether ip is an address of this interface.
func (n Network) Own(ip netip.Addr) bool {
	return slices.ContainsFunc(n.Prefixes, func(p netip.Prefix) bool { return p.Addr() == ip })
}

// IsBroadcast reports whether ip is the limited broadcast address, or the
// directed broadcast or the network address of one of the IPv4 prefixes. A
// prefix of 31 or 32 bits has neither (RFC 3021).
func (n Network) IsBroadcast(ip netip.Addr) bool {
	if !ip.Is4() {
		return false
	}
	if ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return true
	}
	return slices.ContainsFunc(n.Prefixes, func(p netip.Prefix) bool {
		return p.Addr().Is4() && p.Bits() < 31 && (ip == p.Masked().Addr() || ip == lastAddr(p))
	})
}

// IsAnycast reports whether ip is an anycast address of an IPv6 network: that of its
// routers, which is the network's own address (RFC 4291 section 2.6.1), or one of the
// last 128 (RFC 2526). An address in no network that we know counts as one of a network
// of 64 bits. A prefix of 127 or 128 bits has none (RFC 6164).
func (n Network) IsAnycast(ip netip.Addr) bool {
	if !ip.Is6() || ip.Is4In6() {
		return false
	}
	for _, p := range slices.Concat(n.Prefixes, n.OnLink) {
		if p.Addr().Is6() && p.Bits() < 127 && ip == p.Masked().Addr() {
			return true
		}
	}
	const reserved = 0xfdff_ffff_ffff_ff80 // with the universal bit of an EUI-64 clear
	b := ip.As16()
	id := binary.BigEndian.Uint64(b[8:])
	return id == 0 || id >= reserved && id <= reserved|0x7f
}

// lastAddr returns the highest address of an IPv4 prefix.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	hosts := uint32(math.MaxUint32) >> p.Bits()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])|hosts)
	return netip.AddrFrom4(b)
}

// SourceFor returns the own address to speak from when probing ip, if there is
// one of its family. For IPv4 it is one whose prefix holds ip, the longest
// first; for IPv6 the link-local one, which every neighbour can answer.
func (n Network) SourceFor(ip netip.Addr) (netip.Addr, bool) {
	rank := func(p netip.Prefix) int {
		switch {
		case p.Addr().Is6() && p.Addr().IsLinkLocalUnicast():
			return 1000
		case p.Masked().Contains(ip):
			return 1 + p.Bits()
		}
		return 0
	}
	var best netip.Prefix
	for _, p := range n.Prefixes {
		if p.Addr().Is4() == ip.Is4() && (!best.IsValid() || rank(p) > rank(best)) {
			best = p
		}
	}
	return best.Addr(), best.IsValid()
}

// prefixes returns the host's own addresses on the interface index.
func prefixes(addresses []rtnetlink.AddressMessage, index int) []netip.Prefix {
	var found []netip.Prefix
	for _, m := range addresses {
		a, ok := localAddr(m)
		if !ok || int(m.Index) != index || isBound(m) {
			continue
		}
		flags := uint32(m.Flags) | m.Attributes.Flags
		if flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) != 0 {
			continue
		}
		if p := netip.PrefixFrom(a, int(m.PrefixLength)); p.IsValid() {
			found = append(found, p)
		}
	}
	return found
}
