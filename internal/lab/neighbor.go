package lab

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"

	"nightporter/internal/ether"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Neighbor looks ip up in the host's neighbor table: the MAC it is mapped to
// and the state of the entry (unix.NUD_*). ok is false where there is no entry
// with a MAC.
func (h *Host) Neighbor(ip netip.Addr) (mac ether.MAC, state uint16, ok bool, err error) {
	err = h.ns.Netlink(func(c *rtnetlink.Conn) error {
		mac, state, ok, err = neighbor(c, h.index, ip)
		return err
	})
	if err != nil {
		return ether.MAC{}, 0, false, fmt.Errorf("host %s: neighbor %s: %w", h.name, ip, err)
	}
	return mac, state, ok, nil
}

func neighbor(c *rtnetlink.Conn, index uint32, ip netip.Addr) (ether.MAC, uint16, bool, error) {
	entries, err := listNeighbors(c, index)
	if err != nil {
		return ether.MAC{}, 0, false, err
	}
	for _, e := range entries {
		if e.ip == ip {
			return e.mac, e.state, e.mac != ether.MAC{}, nil
		}
	}
	return ether.MAC{}, 0, false, nil
}

// A neighborEntry is an entry of a neighbor table; its MAC is zero while it is
// unknown.
type neighborEntry struct {
	ip    netip.Addr
	mac   ether.MAC
	state uint16 // unix.NUD_*
}

func listNeighbors(c *rtnetlink.Conn, index uint32) (all []neighborEntry, err error) {
	entries, err := c.Neigh.List()
	if err != nil {
		return nil, fmt.Errorf("list neighbors: %w", err)
	}
	for _, e := range entries {
		if e.Index != index || e.Attributes == nil {
			continue
		}
		ip, ok := netip.AddrFromSlice(e.Attributes.Address)
		if !ok {
			continue
		}
		one := neighborEntry{ip: ip.Unmap(), state: e.State}
		if len(e.Attributes.LLAddress) == len(one.mac) {
			one.mac = ether.MAC(e.Attributes.LLAddress)
		}
		all = append(all, one)
	}
	return all, nil
}

// known returns the host's neighbors whose MAC it has learnt.
func (h *Host) known() (learnt []neighborEntry, err error) {
	err = h.ns.Netlink(func(c *rtnetlink.Conn) error {
		all, err := listNeighbors(c, h.index)
		for _, e := range all {
			if e.mac != (ether.MAC{}) && e.state&(unix.NUD_NOARP|unix.NUD_PERMANENT) == 0 {
				learnt = append(learnt, e)
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", h.name, err)
	}
	return learnt, nil
}

// WarmNeighbor makes the host resolve ip and waits until its neighbor table
// has the MAC. No packet but the resolution itself is sent.
func (h *Host) WarmNeighbor(ctx context.Context, ip netip.Addr) error {
	if err := h.neighborRequest(unix.RTM_NEWNEIGH, netlink.Create, unix.NTF_USE, ip); err != nil {
		return err
	}
	return h.ns.Netlink(func(c *rtnetlink.Conn) error {
		return poll(ctx, func() (bool, error) {
			_, _, ok, err := neighbor(c, h.index, ip)
			return ok, err
		}, fmt.Sprintf("host %s knows neighbor %s", h.name, ip))
	})
}

// SetNeighbor has the host believe that ip is at mac, until it hears otherwise.
func (h *Host) SetNeighbor(ip netip.Addr, mac ether.MAC) error {
	return h.alter(fmt.Sprintf("neighbor %s at %s", ip, mac), func(c *rtnetlink.Conn) error {
		m := &rtnetlink.NeighMessage{Family: uint16(family(ip)), Index: h.index, State: unix.NUD_STALE, Type: unix.RTN_UNICAST,
			Attributes: &rtnetlink.NeighAttributes{Address: ip.AsSlice(), LLAddress: mac.HardwareAddr(), IfIndex: h.index}}
		_, err := c.Execute(m, unix.RTM_NEWNEIGH, netlink.Request|netlink.Acknowledge|netlink.Create|netlink.Replace)
		return err
	})
}

// ForgetNeighbor drops ip from the host's neighbor table: the next packet to
// it starts with a fresh resolution. It is no error if there was no entry.
func (h *Host) ForgetNeighbor(ip netip.Addr) error {
	if _, state, ok, err := h.Neighbor(ip); err != nil || (!ok && state == 0) {
		return err
	}
	return h.neighborRequest(unix.RTM_DELNEIGH, 0, 0, ip)
}

// neighborRequest uses netlink directly: rtnetlink's message always carries
// a link-layer address, which neither "resolve this" nor "drop this" may have.
func (h *Host) neighborRequest(kind netlink.HeaderType, flags netlink.HeaderFlags, use uint8, ip netip.Addr) error {
	data := make([]byte, unix.SizeofNdMsg)
	data[0] = family(ip)
	binary.NativeEndian.PutUint32(data[4:8], h.index)
	data[10] = use
	ae := netlink.NewAttributeEncoder()
	ae.Bytes(unix.NDA_DST, ip.AsSlice())
	attrs, err := ae.Encode()
	if err != nil {
		return fmt.Errorf("host %s: neighbor %s: %w", h.name, ip, err)
	}
	return h.ns.Do(func() error {
		c, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
		if err != nil {
			return fmt.Errorf("open routing netlink: %w", err)
		}
		defer c.Close()
		_, err = c.Execute(netlink.Message{
			Header: netlink.Header{Type: kind, Flags: netlink.Request | netlink.Acknowledge | flags},
			Data:   append(data, attrs...),
		})
		if err != nil {
			return fmt.Errorf("host %s: change neighbor %s: %w", h.name, ip, err)
		}
		return nil
	})
}
