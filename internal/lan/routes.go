package lan

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// route is a route with the attributes that rtnetlink omits.
type route struct {
	rtnetlink.RouteMessage
	via     net.IP // a gateway of the other family (RFC 8950)
	hops    []hop  // the next hops of a multipath route that have such a gateway
	wrapped bool   // packets are encapsulated
}

// hop is a next hop of a multipath route.
type hop struct {
	index uint32
	via   net.IP
}

// UnmarshalBinary parses a struct rtmsg and its attributes.
func (r *route) UnmarshalBinary(data []byte) error {
	if err := r.RouteMessage.UnmarshalBinary(data); err != nil {
		return err
	}
	attributes, err := netlink.NewAttributeDecoder(data[unix.SizeofRtMsg:])
	if err != nil {
		return err
	}
	for attributes.Next() {
		switch attributes.Type() {
		case unix.RTA_VIA:
			r.via = viaOf(attributes.Bytes())
		case unix.RTA_MULTIPATH:
			if r.hops, err = hopsOf(attributes.Bytes()); err != nil {
				return err
			}
		case unix.RTA_ENCAP:
			r.wrapped = true
		}
	}
	return attributes.Err()
}

// viaOf parses a struct rtvia, which begins with the family.
func viaOf(b []byte) net.IP {
	if len(b) <= 2 {
		return nil
	}
	return b[2:]
}

// hopsOf parses an array of struct rtnexthop, each followed by its attributes
// (linux/rtnetlink.h).
func hopsOf(b []byte) (hops []hop, err error) {
	const align = unix.NLA_ALIGNTO - 1
	for len(b) >= unix.SizeofRtNexthop {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtNexthop || size > len(b) {
			return nil, fmt.Errorf("next hop: found a length of %d, expected %d to %d", size, unix.SizeofRtNexthop, len(b))
		}
		attributes, err := netlink.NewAttributeDecoder(b[unix.SizeofRtNexthop:size])
		if err != nil {
			return nil, err
		}
		for attributes.Next() {
			if attributes.Type() == unix.RTA_VIA {
				hops = append(hops, hop{binary.NativeEndian.Uint32(b[4:]), viaOf(attributes.Bytes())})
			}
		}
		if err := attributes.Err(); err != nil {
			return nil, err
		}
		b = b[min((size+align)&^align, len(b)):]
	}
	return hops, nil
}

func (c *rtnl) routes() ([]route, error) {
	all, err := decode[route](c.dump(unix.RTM_GETROUTE, unix.RTM_NEWROUTE, &rtnetlink.RouteMessage{}))
	if err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}
	return all, nil
}

// gateways returns the gateways of the routes over the interface index.
func gateways(routes []route, index int) []netip.Addr {
	var found []netip.Addr
	add := func(out uint32, gateway net.IP) {
		if a, ok := netip.AddrFromSlice(gateway); ok && int(out) == index {
			found = append(found, a)
		}
	}
	for _, r := range routes {
		add(r.Attributes.OutIface, r.Attributes.Gateway)
		add(r.Attributes.OutIface, r.via)
		for _, hop := range r.Attributes.Multipath {
			add(hop.Hop.IfIndex, hop.Gateway)
		}
		for _, hop := range r.hops {
			add(hop.index, hop.via)
		}
	}
	slices.SortFunc(found, netip.Addr.Compare)
	return slices.Compact(found)
}

// ErrNoDefaultRoute reports that the host has no default route.
var ErrNoDefaultRoute = errors.New("no default route")

// DefaultInterface returns the name of the interface of the default route: the IPv4 one
// with the lowest metric, or else the IPv6 one. A route over a link without carrier
// counts only if there is no other. Without any route the error is ErrNoDefaultRoute.
func DefaultInterface() (string, error) {
	var name string
	err := withNetlink(func(c *rtnl) error {
		routes, err := c.routes()
		if err != nil {
			return err
		}
		index, ok := defaultRoute(routes)
		if !ok {
			return fmt.Errorf("%w; to watch a certain interface, name it in interfaces (there are: %s)", ErrNoDefaultRoute, c.interfaceNames())
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
func defaultRoute(routes []route) (uint32, bool) {
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

// Forwards reports whether the kernel of this host forwards packets of the family of ip
// that arrive on the interface name.
func Forwards(name string, ip netip.Addr) bool {
	path := "/proc/sys/net/ipv4/conf/" + name + "/forwarding"
	if ip.Is6() {
		path = "/proc/sys/net/ipv6/conf/all/forwarding" // Linux uses no other for IPv6
	}
	b, err := os.ReadFile(path)
	return err == nil && !bytes.Equal(bytes.TrimSpace(b), []byte("0"))
}
