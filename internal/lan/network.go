package lan

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/jsimonetti/rtnetlink/v2"
	"golang.org/x/sys/unix"

	"nightporter/internal/ether"
)

// Network is the configuration of one interface and of the network behind it, as the
// kernel reports it.
type Network struct {
	Name     string
	Index    int
	MAC      ether.MAC
	Prefixes []netip.Prefix // own addresses with their prefix lengths, without tentative ones, duplicates and those of BindAddr
	OnLink   []netip.Prefix // the destinations that this interface reaches without a gateway, sorted, without duplicates
	Gateways []netip.Addr   // the gateways of all routes over this interface, sorted, without duplicates
}

// ReadNetwork reads the network of the interface index from the kernel. If there is no
// such interface the error is ErrNoInterface.
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

// IsBroadcast reports whether ip is the limited broadcast address, or the directed
// broadcast or the network address of one of the IPv4 prefixes. A prefix of 31 or 32 bits
// has neither (RFC 3021).
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

// IsAnycast reports whether ip is an anycast address of an IPv6 network: the
// subnet-router anycast address, which is the address of the network itself (RFC 4291
// section 2.6.1), or one of the last 128 (RFC 2526). An address in no known network
// counts as one of a network of 64 bits. A prefix of 127 or 128 bits has none (RFC 6164).
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

// SourceFor returns the own address from which to probe ip, if there is one of its
// family. For IPv4 it is the one with the longest prefix that contains ip. For IPv6 it is
// the link-local address, to which every neighbor can reply.
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

// prefixes returns the addresses of the host on the interface index.
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

// defaultBits is the length of the shortest prefix that counts as one network. A route
// with a shorter prefix, down to 0, is a default route in one or several parts.
const defaultBits = 8

// Contains reports whether ip is on this link: an own address, reachable without a
// gateway, or link-local where the interface has a link-local address too.
func (n Network) Contains(ip netip.Addr) bool {
	return slices.ContainsFunc(n.OnLink, func(p netip.Prefix) bool { return p.Contains(ip) }) || n.Own(ip) ||
		ip.Is6() && ip.IsLinkLocalUnicast() && n.hasLinkLocal()
}

// MayContain reports whether ip is on this link provided that a host there answers for
// it. Besides the addresses of Contains these are all IPv6 addresses, where the interface
// has a link-local address to solicit from: a host that forwards accepts no prefixes from
// routers (RFC 4861 section 6.2.7), so it does not know the prefixes of its neighbors.
func (n Network) MayContain(ip netip.Addr) bool {
	return n.Contains(ip) || ip.Is6() && !ip.Is4In6() && ip.IsGlobalUnicast() && n.hasLinkLocal()
}

func (n Network) hasLinkLocal() bool {
	return slices.ContainsFunc(n.Prefixes, func(p netip.Prefix) bool { return p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() })
}

// onLink returns the destinations that the interface index reaches without a gateway,
// from the routes of all tables: those that the kernel adds with an address, those that a
// router advertises, and others.
//
// The netmask of an IPv4 address states the same for its network (RFC 1122 section
// 3.3.1.1), unless the address has no prefix route (IFA_F_NOPREFIXROUTE; NetworkManager
// sets the flag and adds the route itself). The prefix length of an IPv6 address states
// nothing: the prefix may be off link (RFC 5942 section 4).
func onLink(addresses []rtnetlink.AddressMessage, routes []route, index int) []netip.Prefix {
	var found []netip.Prefix
	own := make(map[netip.Addr]bool)
	for _, m := range addresses {
		ip, ok := localAddr(m)
		if !ok || int(m.Index) != index {
			continue
		}
		own[ip] = true
		peer, _ := netip.AddrFromSlice(m.Attributes.Address)
		flags := uint32(m.Flags) | m.Attributes.Flags
		if ip.Is4() && peer == ip && flags&unix.IFA_F_NOPREFIXROUTE == 0 && !isBound(m) {
			found = append(found, netip.PrefixFrom(ip, int(m.PrefixLength)).Masked())
		}
	}
	for _, r := range routes {
		p, ok := r.direct(index)
		if ok && !(p.IsSingleIP() && own[p.Addr()]) { // the route of the kernel for a single address
			found = append(found, p)
		}
	}
	found = slices.DeleteFunc(found, func(p netip.Prefix) bool { return !p.IsValid() })
	slices.SortFunc(found, netip.Prefix.Compare)
	return slices.Compact(found)
}

// direct returns the destination of a route without a gateway over the interface index.
func (r *route) direct(index int) (netip.Prefix, bool) {
	a := r.Attributes
	ip, ok := netip.AddrFromSlice(a.Dst)
	if !ok || r.Type != unix.RTN_UNICAST || int(a.OutIface) != index || ip.IsMulticast() || r.DstLength < defaultBits ||
		a.Gateway != nil || r.via != nil || r.wrapped || len(a.Multipath) > 0 {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(ip, int(r.DstLength)).Masked(), true
}
