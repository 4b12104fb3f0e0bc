package lan

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"nightporter/internal/ether"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// NeighborMAC returns the link-layer address of ip as the kernel's neighbour
// table has it for the interface index. It is false where there is no entry, or
// one without an answer so far.
func NeighborMAC(index int, ip netip.Addr) (ether.MAC, bool, error) {
	known, err := KnownNeighbors(index)
	mac, ok := known[plain(ip)]
	return mac, ok, err
}

// KnownNeighbors returns the link-layer addresses of all that the kernel's neighbour
// table has for the interface index, without those that did not answer.
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

// PinNeighbor has the kernel send to mac whatever the host has for ip on the
// interface index. Nothing that is heard changes that, until SetNeighbor or
// DropNeighbor.
func PinNeighbor(index int, ip netip.Addr, mac ether.MAC) error {
	return replaceNeighbor(index, ip, mac, unix.NUD_PERMANENT)
}

// SetNeighbor tells the kernel that ip is at mac, in place of what it knew. It
// believes that at once, sends what waits for an answer, and verifies it
// afterwards (state STALE, RFC 4861 section 7.3.2).
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

// DropNeighbor has the kernel forget where ip is, and ask again. It is no error
// if it does not know.
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

// neighborEntry is an entry of the kernel's table.
type neighborEntry struct {
	ip     netip.Addr
	state  uint16 // unix.NUD_*
	mac    ether.MAC
	hasMAC bool
}

// resolved reports whether the host has answered.
func (e neighborEntry) resolved() bool {
	const known = unix.NUD_REACHABLE | unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE | unix.NUD_PERMANENT
	return e.state&known != 0 && e.hasMAC
}

// neighborsOf reads the table of the interface index.
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
