package lan

import (
	"log/slog"
	"net/netip"

	"golang.org/x/sys/unix"
)

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
