package lan

import (
	"log/slog"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Outgoing is a packet socket that receives what the host itself sends on one interface,
// to detect that a local program connects to a machine. Its methods are safe for
// concurrent use.
//
// Run receives IP packets to the addresses of SetAddrs as the host sends them, mostly
// with unfinished checksums (see Packet.Parse). It receives no ARP, no multicast neighbor
// discovery, and no frame from the network.
//
// The kernel filter drops the frames of an Interface by their mark. Before Linux 5.17 a
// mark needs CAP_NET_ADMIN. Without it, which the log reports, Run receives these frames
// too.
type Outgoing struct {
	packetSocket
}

// OpenOutgoing opens a packet socket on the interface name. Until SetAddrs the reader
// receives nothing, but every frame that the host sends runs the filter, so open it only
// where it is needed. The errors are those of Open.
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

// SetAddrs changes for which destinations Run receives packets; without any it receives
// none. The kernel replaces the filter atomically. The filter compares 31 bits of an
// address, and only the family if the set is too large (some 3,000 addresses), so the
// handler has to compare again. It is an error if the kernel rejects the filter; Run then
// receives what it did before, or everything.
func (o *Outgoing) SetAddrs(addrs []netip.Addr) error { return o.swap(outgoingTo(addrs)) }

// outgoingTo returns the sets for packets of the host to addrs.
func outgoingTo(addrs []netip.Addr) sets {
	s := Interest{Addrs: addrs}.sets()
	s.outgoing = true
	return s
}

// Close closes the socket. A running Run returns net.ErrClosed, and so do later calls.
func (o *Outgoing) Close() error { return o.close() }

// loopbackName is the interface through which a host sends to itself.
const loopbackName = "lo"

// Loopback is a packet socket that receives what programs of the host send to addresses
// that are bound to the kernel of the host. Its methods are safe for concurrent use.
type Loopback struct {
	packetSocket
}

// OpenLoopback opens a packet socket on the loopback interface. Until SetAddrs the reader
// receives nothing, but every packet that the host sends to itself runs the filter, so
// open it only where it is needed.
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
		return unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1) // each packet is also received
	})
	if err != nil {
		l.log.Debug("cannot ignore outgoing frames in the socket", "event", "socket_option_failed", "err", err)
	}
	return l, nil
}

// SetAddrs changes for which destinations Run receives packets. See Outgoing.SetAddrs.
func (l *Loopback) SetAddrs(addrs []netip.Addr) error { return l.swap(Interest{Addrs: addrs}.sets()) }

// Close closes the socket. A running Run returns net.ErrClosed, and so do later calls.
func (l *Loopback) Close() error { return l.close() }
