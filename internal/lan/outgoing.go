package lan

import (
	"log/slog"
	"net/netip"
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
