package lan

import (
	"context"
	"errors"
	"log/slog"
	"net"

	"golang.org/x/sync/errgroup"
)

// LinkReaders is the largest number of goroutines that read a Link.
const LinkReaders = 3

// Link is the set of sockets on an interface, with the index, the MAC and the MTU at the
// time of opening. A Link never changes: if one of these differs, a new Link replaces it
// and continues its counts. Close returns once the readers have ended, so the readers of
// two Links never run at once.
type Link struct {
	*Interface
	neighbors *Neighbors // ARP and neighbor discovery, which must not delay a knock
	outgoing  *Outgoing  // frames of this host; nil unless wanted
	readers   errgroup.Group

	// The counts of the Links before this one.
	drops    uint64
	rejected map[Verdict]uint64
}

// OpenLink opens the interface name, with outgoing also for frames that this host sends
// on it. before is the closed Link that the new one replaces, or nil. The errors are
// those of Open.
func OpenLink(name string, outgoing bool, before *Link, log *slog.Logger) (*Link, error) {
	ifi, err := Open(name, log)
	if err != nil {
		return nil, err
	}
	l := &Link{Interface: ifi}
	if l.neighbors, err = ifi.OpenNeighbors(log); err != nil {
		return nil, errors.Join(err, ifi.Close())
	}
	if outgoing {
		if l.outgoing, err = OpenOutgoing(name, log); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	if before != nil {
		l.drops, l.rejected = before.Drops(), before.Rejected()
	}
	return l, nil
}

// Handlers receive the frames of the readers of a Link. Several readers may call them at
// once. They must not block.
type Handlers struct {
	Received func(*Packet) // a frame from the network
	Sent     func(*Packet) // a frame of this host
	Failed   func(error)   // a reader has ended by itself; at most LinkReaders times
}

// Listen starts the readers of the Link, which end with ctx or Close.
func (l *Link) Listen(ctx context.Context, h Handlers) {
	read := func(run func(context.Context, func(*Packet)) error, handle func(*Packet)) {
		l.readers.Go(func() error {
			if err := run(ctx, handle); err != nil && !errors.Is(err, net.ErrClosed) {
				h.Failed(err)
			}
			return nil
		})
	}
	read(l.Run, h.Received)
	read(l.neighbors.Run, h.Received)
	if l.outgoing != nil {
		read(l.outgoing.Run, h.Sent)
	}
}

// Wait returns when the readers have ended.
func (l *Link) Wait() error { return l.readers.Wait() }

// SetInterest changes which frames the readers receive, and to which addresses in.Sent
// frames of this host. See Interface.SetInterest.
func (l *Link) SetInterest(in Interest) error {
	err := l.Interface.SetInterest(in)
	if l.outgoing != nil {
		err = errors.Join(err, l.outgoing.SetAddrs(in.Sent))
	}
	return err
}

// Drops returns how many frames the kernel has dropped on this Link and those
// before it.
func (l *Link) Drops() uint64 { return l.drops + l.Interface.Drops() + l.neighbors.Drops() }

// Unread reports whether received frames wait for a reader.
func (l *Link) Unread() bool { return l.Interface.unread() || l.neighbors.unread() }

// Rejected returns how many frames were rejected on this Link and those before it, by
// reason. Every reason has an entry, also with 0.
func (l *Link) Rejected() map[Verdict]uint64 {
	rejected := l.Interface.Rejected()
	for _, more := range []map[Verdict]uint64{l.neighbors.Rejected(), l.rejected} {
		for v, count := range more {
			rejected[v] += count
		}
	}
	return rejected
}

// Opened returns the status with which the Link was opened, to compare it with the
// present one.
func (l *Link) Opened() Status { return Status{Index: l.Index(), MAC: l.MAC(), MTU: l.MTU()} }

// Close closes the sockets and returns when their readers have ended.
func (l *Link) Close() error {
	l.Interface.Drops() // the kernel's count ends with the socket
	l.neighbors.Drops()
	err := errors.Join(l.Interface.Close(), l.neighbors.Close())
	if l.outgoing != nil {
		err = errors.Join(err, l.outgoing.Close())
	}
	return errors.Join(err, l.readers.Wait())
}
