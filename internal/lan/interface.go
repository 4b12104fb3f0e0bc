package lan

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"

	"nightporter/internal/ether"
)

const (
	sysClassNet  = "/sys/class/net"
	joinedGroups = "/proc/thread-self/net/igmp6" // of this thread's network namespace
)

// Interface is one network interface with a packet socket on it. All its
// methods are safe for concurrent use.
type Interface struct {
	tap
	mac      ether.MAC
	mtu      int
	wireless bool

	sender *sender
	groups *groups
}

// Open opens a packet socket on the interface name, which must be an Ethernet
// (or Wi-Fi) interface that is up and has an address. Until SetInterest the
// reader sees ARP and neighbour discovery only.
//
// It needs CAP_NET_RAW; without it the error says how to get it. Other errors
// name the interface and what is wrong with it.
func Open(name string, log *slog.Logger) (*Interface, error) {
	ifi, err := usable(name)
	if err != nil {
		return nil, err
	}
	i := &Interface{
		mac:      ether.MAC(ifi.HardwareAddr),
		mtu:      ifi.MTU,
		wireless: isWireless(sysClassNet, name),
		groups:   newGroups(ifi.Index),
	}
	if err := i.open(ifi, Interest{}.sets(), log); err != nil {
		return nil, err
	}
	if err := i.configure(); err != nil {
		return nil, errors.Join(err, i.Close())
	}
	i.sender = newSender(i.raw)
	return i, nil
}

// MAC returns the interface's own address, as it was when the interface was opened.
func (i *Interface) MAC() ether.MAC { return i.mac }

// MTU returns the length in octets of the largest IP packet that the interface
// takes, as it was when the interface was opened.
func (i *Interface) MTU() int { return i.mtu }

// Wireless reports whether this is a Wi-Fi interface.
func (i *Interface) Wireless() bool { return i.wireless }

// Closed reports whether Close was called.
func (i *Interface) Closed() bool { return i.closed.Load() }

// Close closes the socket and leaves all groups. Run, if it is running, returns
// an error that is net.ErrClosed, and so does everything that is called later, but
// for joining and leaving groups: that counts for the interface that adopts them.
func (i *Interface) Close() error {
	return errors.Join(i.close(), i.groups.close())
}

// SetInterest changes what Run gets to see. The kernel swaps the filter in one
// step: there is no moment without one. Frames that are already queued still
// come through. It is an error if the kernel takes no filter for in; Run then
// sees what it saw before, or everything.
func (i *Interface) SetInterest(in Interest) error {
	return i.swap(in.sets())
}

// JoinSolicitedNode joins the solicited-node group of an IPv6 address through
// the kernel, which tells switches that snoop on multicast listeners (MLD) to
// send solicitations our way. Addresses share groups: every Join needs its
// Leave. For an IPv4 address there is nothing to join.
func (i *Interface) JoinSolicitedNode(ip netip.Addr) error {
	if err := i.groups.join(ip); err != nil {
		return i.unlessClosed(err)
	}
	return nil
}

// LeaveSolicitedNode takes one JoinSolicitedNode of the same group back. It is
// an error to leave a group that was not joined.
func (i *Interface) LeaveSolicitedNode(ip netip.Addr) error {
	if err := i.groups.leave(ip); err != nil {
		return i.unlessClosed(err)
	}
	return nil
}

// AdoptGroups takes over the solicited-node groups of old, which is closed: joins
// them, and needs their Leaves. After an error CheckGroups tries again.
func (i *Interface) AdoptGroups(old *Interface) error {
	if err := i.groups.adopt(old.groups); err != nil {
		return i.unlessClosed(fmt.Errorf("solicited-node groups: %w", err))
	}
	return nil
}

// CheckGroups joins the solicited-node groups anew if the kernel has lost any,
// as it does with IPv6 on the interface.
func (i *Interface) CheckGroups() error {
	b, err := os.ReadFile(joinedGroups)
	if err == nil {
		err = i.groups.check(groupsOf(string(b), i.name))
	}
	if err != nil {
		return i.unlessClosed(fmt.Errorf("solicited-node groups: %w", err))
	}
	return nil
}

// isWireless looks for what sysfs has only for Wi-Fi interfaces.
func isWireless(sysfs, name string) bool {
	for _, entry := range []string{"wireless", "phy80211"} {
		if _, err := os.Stat(filepath.Join(sysfs, name, entry)); err == nil {
			return true
		}
	}
	return false
}
