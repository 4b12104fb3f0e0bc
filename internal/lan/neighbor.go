package lan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"nightporter/internal/ether"
)

// NeighborMAC returns the link-layer address of ip from the neighbor table of the kernel
// for the interface index. It is false without an entry that was resolved.
func NeighborMAC(index int, ip netip.Addr) (ether.MAC, bool, error) {
	known, err := KnownNeighbors(index)
	mac, ok := known[plain(ip)]
	return mac, ok, err
}

// KnownNeighbors returns the link-layer addresses of all resolved entries of the neighbor
// table for the interface index.
func KnownNeighbors(index int) (map[netip.Addr]ether.MAC, error) {
	entries, err := neighborsOf(index)
	if err != nil {
		return nil, err
	}
	known := make(map[netip.Addr]ether.MAC)
	for _, e := range entries {
		if e.resolved() {
			known[e.ip] = e.mac
		}
	}
	return known, nil
}

// PinNeighbor makes the kernel send to mac all packets to ip on the interface index
// (state PERMANENT). No ARP or ND packet changes that until SetNeighbor or DropNeighbor.
func PinNeighbor(index int, ip netip.Addr, mac ether.MAC) error {
	return replaceNeighbor(index, ip, mac, unix.NUD_PERMANENT)
}

// SetNeighbor replaces the neighbor entry of ip by mac. The kernel uses it at once, sends
// the packets in its queue, and verifies the entry afterwards (state STALE, RFC 4861
// section 7.3.2).
func SetNeighbor(index int, ip netip.Addr, mac ether.MAC) error {
	return replaceNeighbor(index, ip, mac, unix.NUD_STALE)
}

func replaceNeighbor(index int, ip netip.Addr, mac ether.MAC, state uint16) error {
	m := neighborMessage(index, ip)
	m.State, m.Attributes.LLAddress = state, mac.HardwareAddr()
	if err := changeNeighbor(m, unix.RTM_NEWNEIGH, netlink.Create|netlink.Replace); err != nil {
		return fmt.Errorf("neighbor %v at %v on interface %d: %w", ip, mac, index, err)
	}
	return nil
}

// DropNeighbor removes the neighbor entry of ip, so that the kernel resolves it again. A
// missing entry is no error.
func DropNeighbor(index int, ip netip.Addr) error {
	err := changeNeighbor(neighborMessage(index, ip), unix.RTM_DELNEIGH, 0)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("forget neighbor %v on interface %d: %w", ip, index, err)
	}
	return nil
}

// PinnedNeighbors returns the addresses that are pinned to mac on the interface
// index, in this run of the program or another, sorted.
func PinnedNeighbors(index int, mac ether.MAC) ([]netip.Addr, error) {
	entries, err := neighborsOf(index)
	if err != nil {
		return nil, err
	}
	var found []netip.Addr
	for _, e := range entries {
		if e.state&unix.NUD_PERMANENT != 0 && e.hasMAC && e.mac == mac {
			found = append(found, e.ip)
		}
	}
	slices.SortFunc(found, netip.Addr.Compare)
	return found, nil
}

// neighborEntry is an entry of the neighbor table of the kernel.
type neighborEntry struct {
	ip     netip.Addr
	state  uint16 // unix.NUD_*
	mac    ether.MAC
	hasMAC bool
}

// resolved reports whether the entry has a link-layer address from an answer.
func (e neighborEntry) resolved() bool {
	const known = unix.NUD_REACHABLE | unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE | unix.NUD_PERMANENT
	return e.state&known != 0 && e.hasMAC
}

// neighborsOf reads the neighbor table of the interface index.
func neighborsOf(index int) ([]neighborEntry, error) {
	var messages []rtnetlink.NeighMessage
	err := withNetlink(func(c *rtnl) (err error) {
		messages, err = c.neighbors()
		return err
	})
	if err != nil {
		return nil, err
	}
	return entriesOf(messages, index), nil
}

func entriesOf(messages []rtnetlink.NeighMessage, index int) []neighborEntry {
	var entries []neighborEntry
	for _, m := range messages {
		if int(m.Index) != index || m.Attributes == nil {
			continue
		}
		ip, ok := netip.AddrFromSlice(m.Attributes.Address)
		if !ok {
			continue
		}
		e := neighborEntry{ip: ip, state: m.State}
		if len(m.Attributes.LLAddress) == len(e.mac) {
			e.mac, e.hasMAC = ether.MAC(m.Attributes.LLAddress), true
		}
		entries = append(entries, e)
	}
	return entries
}

func neighborMessage(index int, ip netip.Addr) *rtnetlink.NeighMessage {
	ip = plain(ip)
	return &rtnetlink.NeighMessage{
		Family: uint16(family(ip)), Index: uint32(index), Type: unix.RTN_UNICAST,
		Attributes: &rtnetlink.NeighAttributes{Address: ip.AsSlice(), IfIndex: uint32(index)},
	}
}

func changeNeighbor(m *rtnetlink.NeighMessage, kind uint16, flags netlink.HeaderFlags) error {
	return withNetlink(func(c *rtnl) error { return c.change(kind, flags, m) })
}

// Locate reports whether ip is on a link of this host, without a router in between, by
// the route that the kernel has to it. mac is the one of the neighbor table there, zero
// without an entry. It sends the kernel two requests and reads no table. An address of
// this host is on link and has no MAC. An address without a route is not on link.
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

// routeTo returns the route of a packet of this host to ip. A zone selects the interface.
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

// neighbor returns the MAC of ip on the interface index. An interface without address
// resolution, such as a tunnel, counts as not on link.
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

// neighborQuery requests one entry of the neighbor table. Linux answers that since 5.0,
// and accepts only the address beside the header (neigh_get of the kernel).
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
