package lan

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"nightporter/internal/ether"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Locate returns whether ip is on a link of this host, without a router between,
// as the kernel sends to it, and the MAC that the neighbour table has for it
// there; zero if there is none. Two questions to the kernel answer that, and no
// table is read. An address of this host is on link, and has no MAC. One that the
// kernel has no way to is not.
func Locate(ip netip.Addr) (mac ether.MAC, onLink bool) {
	err := withNetlink(func(c *rtnl) (err error) {
		mac, onLink, err = c.locate(ip)
		return err
	})
	if err != nil {
		return ether.MAC{}, false
	}
	return mac, onLink
}

func (c *rtnl) locate(ip netip.Addr) (mac ether.MAC, onLink bool, err error) {
	r, err := c.routeTo(ip)
	if err != nil {
		return ether.MAC{}, false, err
	}
	switch a := r.Attributes; {
	case r.Type == unix.RTN_LOCAL:
		return ether.MAC{}, true, nil
	case r.Type != unix.RTN_UNICAST || a.Gateway != nil || r.via != nil || r.wrapped:
		return ether.MAC{}, false, nil
	default:
		return c.neighbor(int(a.OutIface), ip)
	}
}

// routeTo returns the route that a packet of this host takes to ip. A zone says
// by which interface.
func (c *rtnl) routeTo(ip netip.Addr) (*route, error) {
	index := 0
	if zone := ip.Zone(); zone != "" {
		link, _, err := c.link(0, zone)
		if err != nil {
			return nil, err
		}
		index = link.Index
	}
	ip = plain(ip)
	data, err := c.get(unix.RTM_GETROUTE, unix.RTM_NEWROUTE, &rtnetlink.RouteMessage{
		Family: family(ip), DstLength: uint8(ip.BitLen()),
		Attributes: rtnetlink.RouteAttributes{Dst: ip.AsSlice(), OutIface: uint32(index)},
	})
	if err != nil {
		return nil, err
	}
	r := new(route)
	return r, r.UnmarshalBinary(data)
}

// neighbor returns the MAC of ip on the interface index. An interface that
// resolves no addresses, such as a tunnel, has no link in that sense.
func (c *rtnl) neighbor(index int, ip netip.Addr) (mac ether.MAC, onLink bool, err error) {
	data, err := c.get(unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, neighborQuery{index, plain(ip)})
	if errors.Is(err, unix.ENOENT) {
		return ether.MAC{}, true, nil
	}
	var m rtnetlink.NeighMessage
	if err == nil {
		err = m.UnmarshalBinary(data)
	}
	if err != nil {
		return ether.MAC{}, false, err
	}
	if m.State&unix.NUD_NOARP != 0 {
		return ether.MAC{}, false, nil
	}
	for _, e := range entriesOf([]rtnetlink.NeighMessage{m}, index) {
		if e.resolved() {
			mac = e.mac
		}
	}
	return mac, true, nil
}

// neighborQuery asks for one entry of the neighbour table. Linux answers that
// since 5.0, and takes nothing but the address beside the header (neigh_get of
// net/core/neighbour.c).
type neighborQuery struct {
	index int
	ip    netip.Addr
}

// MarshalBinary returns a struct ndmsg and an attribute.
func (q neighborQuery) MarshalBinary() ([]byte, error) {
	b := make([]byte, unix.SizeofNdMsg)
	b[0] = family(q.ip)
	binary.NativeEndian.PutUint32(b[4:], uint32(q.index))
	attr, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: unix.NDA_DST, Data: q.ip.AsSlice()}})
	return append(b, attr...), err
}
