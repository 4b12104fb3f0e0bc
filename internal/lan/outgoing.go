package lan

import (
	"log/slog"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Outgoing is a packet socket that sees what the host itself sends on one
// interface: the way to notice that a local program wants a machine. All its
// methods are safe for concurrent use.
//
// Run sees IP packets for the addresses of SetAddrs, on their way out, with
// checksums that are mostly unfinished (see Packet.Parse). It sees neither ARP
// nor neighbour discovery by multicast, nor anything that is received.
//
// The frames that an Interface sends leave the host like all others. The kernel
// filter leaves them out by their mark, whatever address they come from. Where
// the kernel does not let an Interface mark its frames (before Linux 5.17 that
// takes CAP_NET_ADMIN, and the log says so) they are seen here too.
type Outgoing struct {
	tap
}

// OpenOutgoing opens a packet socket on the interface name. Until SetAddrs the
// reader sees nothing, but every frame that the host sends costs it a look: open
// it only where it is needed. The errors are those of Open.
func OpenOutgoing(name string, log *slog.Logger) (*Outgoing, error) {
	ifi, err := usable(name)
	if err != nil {
		return nil, err
	}
	o := new(Outgoing)
	if err := o.open(ifi, outgoingTo(nil), log); err != nil {
		return nil, err
	}
	return o, nil
}

// SetAddrs changes for which destinations Run gets to see packets; without any
// it sees none. The kernel swaps the filter in one step. It compares 31 bits of
// an address, and of a set that is too large (some 3,000 addresses) nothing but
// the family, so the handler has to look again. It is an error if the kernel
// takes no filter; Run then sees what it saw before, or everything.
func (o *Outgoing) SetAddrs(addrs []netip.Addr) error { return o.swap(outgoingTo(addrs)) }

// outgoingTo returns the sets for packets that the host sends to addrs.
func outgoingTo(addrs []netip.Addr) sets {
	s := Interest{Addrs: addrs}.sets()
	s.outgoing = true
	return s
}

// Close closes the socket. Run, if it is running, returns an error that is
// net.ErrClosed, and so does everything that is called later.
func (o *Outgoing) Close() error { return o.close() }

// loopbackName is the interface by which a host sends to itself.
const loopbackName = "lo"

// Loopback is a packet socket that sees what programs of the host send to addresses that
// its own kernel owns. All its methods are safe for concurrent use.
type Loopback struct {
	tap
}

// OpenLoopback opens a packet socket on the loopback interface. Until SetAddrs the reader
// sees nothing, but every packet that the host sends to itself costs it a look: open it
// only where it is needed.
func OpenLoopback(log *slog.Logger) (*Loopback, error) {
	l := new(Loopback)
	err := withNetlink(func(c *rtnl) error {
		ifi, _, err := c.link(0, loopbackName)
		if err != nil {
			return err
		}
		return l.open(ifi, Interest{}.sets(), log)
	})
	if err != nil {
		return nil, err
	}
	err = l.configure(func(fd int) error {
		return unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1) // it comes in as well
	})
	if err != nil {
		l.log.Debug("cannot ignore outgoing frames in the socket", "event", "socket_option_failed", "err", err)
	}
	return l, nil
}

// SetAddrs changes for which destinations Run gets to see packets. See Outgoing.SetAddrs.
func (l *Loopback) SetAddrs(addrs []netip.Addr) error { return l.swap(Interest{Addrs: addrs}.sets()) }

// Close closes the socket. Run, if it is running, returns an error that is
// net.ErrClosed, and so does everything that is called later.
func (l *Loopback) Close() error { return l.close() }
