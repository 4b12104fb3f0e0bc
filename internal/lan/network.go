package lan

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"

	"github.com/jsimonetti/rtnetlink/v2"
	"golang.org/x/sys/unix"

	"nightporter/internal/machine"
)

// Network is what the kernel says of one interface and the network behind it.
type Network struct {
	Name     string
	Index    int
	MAC      machine.MAC
	Prefixes []netip.Prefix // our own addresses with their prefix lengths; none that is tentative, a duplicate or BindAddr's
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
		Prefixes: prefixes(addresses, index), Gateways: gateways(routes, index),
	}, nil
}

// Own reports whether ip is an address of this interface.
func (n Network) Own(ip netip.Addr) bool {
	return slices.ContainsFunc(n.Prefixes, func(p netip.Prefix) bool { return p.Addr() == ip })
}

// Contains reports whether ip is on this link: inside one of the prefixes, or
// link-local where we have a link-local address too.
func (n Network) Contains(ip netip.Addr) bool {
	return slices.ContainsFunc(n.Prefixes, func(p netip.Prefix) bool {
		return p.Masked().Contains(ip) || ip.Is6() && ip.IsLinkLocalUnicast() && p.Addr().IsLinkLocalUnicast() && p.Addr().Is6()
	})
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

// gateways returns the next hops of the routes that leave by the interface index.
func gateways(routes []rtnetlink.RouteMessage, index int) []netip.Addr {
	var found []netip.Addr
	add := func(out uint32, gateway net.IP) {
		if a, ok := netip.AddrFromSlice(gateway); ok && int(out) == index {
			found = append(found, a)
		}
	}
	for _, r := range routes {
		add(r.Attributes.OutIface, r.Attributes.Gateway)
		for _, hop := range r.Attributes.Multipath {
			add(hop.Hop.IfIndex, hop.Gateway)
		}
	}
	slices.SortFunc(found, netip.Addr.Compare)
	return slices.Compact(found)
}

// DefaultInterface returns the name of the interface of the default route: the
// IPv4 one with the lowest metric, without one the IPv6 one. A route over a link
// without carrier counts only if there is no other.
func DefaultInterface() (string, error) {
	var name string
	err := withNetlink(func(c *rtnl) error {
		routes, err := c.routes()
		if err != nil {
			return err
		}
		index, ok := defaultRoute(routes)
		if !ok {
			return errors.New("no default route: name the interface in `interfaces`")
		}
		link, _, err := c.link(int(index), "")
		if err != nil {
			return fmt.Errorf("interface %d of the default route: %w", index, err)
		}
		name = link.Name
		return nil
	})
	return name, err
}

// defaultRoute returns the interface index of the best default route.
func defaultRoute(routes []rtnetlink.RouteMessage) (uint32, bool) {
	type candidate struct {
		dead   int
		family uint8
		metric uint32
		index  uint32
	}
	var all []candidate
	for _, r := range routes {
		if r.DstLength != 0 || r.Type != unix.RTN_UNICAST || r.Table != unix.RT_TABLE_MAIN {
			continue
		}
		c := candidate{family: r.Family, metric: r.Attributes.Priority, index: r.Attributes.OutIface}
		if c.index == 0 && len(r.Attributes.Multipath) > 0 {
			c.index = r.Attributes.Multipath[0].Hop.IfIndex
		}
		if r.Flags&(unix.RTNH_F_DEAD|unix.RTNH_F_LINKDOWN) != 0 {
			c.dead = 1
		}
		if c.index != 0 && (c.family == unix.AF_INET || c.family == unix.AF_INET6) {
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		return 0, false
	}
	// AF_INET is the smaller of the two family numbers.
	best := slices.MinFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.dead, b.dead), cmp.Compare(a.family, b.family), cmp.Compare(a.metric, b.metric))
	})
	return best.index, true
}
