package lan

import (
	"net/netip"
	"slices"

	"github.com/jsimonetti/rtnetlink/v2"
	"golang.org/x/sys/unix"
)

// defaultBits is the length of the shortest prefix that is one network. What is
// shorter, down to 0, is a default route in one piece or in several.
const defaultBits = 8

// Contains reports whether ip is on this link: an address of ours, inside of what
// is reached without a gateway, or link-local where we have a link-local address
// too.
func (n Network) Contains(ip netip.Addr) bool {
	return slices.ContainsFunc(n.OnLink, func(p netip.Prefix) bool { return p.Contains(ip) }) || n.Own(ip) ||
		ip.Is6() && ip.IsLinkLocalUnicast() && n.hasLinkLocal()
}

// MayContain reports whether ip is on this link if a host there answers for it.
// Besides what Contains knows these are all IPv6 addresses, where we have a
// link-local address to ask from: a host that forwards takes no prefixes from
// routers (RFC 4861, section 6.2.7), and knows none of those that its neighbours
// use.
func (n Network) MayContain(ip netip.Addr) bool {
	return n.Contains(ip) || ip.Is6() && !ip.Is4In6() && ip.IsGlobalUnicast() && n.hasLinkLocal()
}

func (n Network) hasLinkLocal() bool {
	return slices.ContainsFunc(n.Prefixes, func(p netip.Prefix) bool { return p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() })
}

// onLink returns what is reached by the interface index without a gateway, as the
// routes of all tables say: those that the kernel makes with an address, that a
// router advertises, and that others set.
//
// The netmask of an IPv4 address says the same of its network (RFC 1122, section
// 3.3.1.1), unless the program that set the address has kept its route to itself
// (IFA_F_NOPREFIXROUTE; NetworkManager does so, and then makes the route). The prefix length of an IPv6 address says nothing: an address may come
// from a prefix that is not on the link (RFC 5942, section 4).
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
		if ok && !(p.IsSingleIP() && own[p.Addr()]) { // the kernel's, for an address that is alone
			found = append(found, p)
		}
	}
	found = slices.DeleteFunc(found, func(p netip.Prefix) bool { return !p.IsValid() })
	slices.SortFunc(found, netip.Prefix.Compare)
	return slices.Compact(found)
}

// direct returns the destination of a route that leads to the network behind the
// interface index itself.
func (r *route) direct(index int) (netip.Prefix, bool) {
	a := r.Attributes
	ip, ok := netip.AddrFromSlice(a.Dst)
	if !ok || r.Type != unix.RTN_UNICAST || int(a.OutIface) != index || ip.IsMulticast() || r.DstLength < defaultBits ||
		a.Gateway != nil || r.via != nil || r.wrapped || len(a.Multipath) > 0 {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(ip, int(r.DstLength)).Masked(), true
}
