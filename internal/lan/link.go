package lan

import (
	"context"
	"errors"
	"log/slog"
	"net"

	"golang.org/x/sync/errgroup"
)

// LinkReaders is how many goroutines read a Link at most.
const LinkReaders = 3

// Link is all that is open on an interface: its sockets, with the index, the MAC
// and the MTU that it had then. It is never changed: where one of these is another,
// a new Link takes its place, and goes on with its counts. Close returns once the
// readers have ended, so that those of two Links never run at once.
type Link struct {
	*Interface
	neighbors *Neighbors // ARP and neighbour discovery, which must not hold up a knock
	outgoing  *Outgoing  // what our own host sends; nil unless it is wanted
	readers   errgroup.Group

	// What the Links before this one have counted.
	drops    uint64
	rejected map[Verdict]uint64
}

// OpenLink opens the interface name; with outgoing, what our own host sends on it
// too. before is the Link whose place it takes, which is closed, or nil. The errors
// are those of Open.
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

// Handlers get what the readers of a Link see, and may be called by several of
// them at once. They must not block.
type Handlers struct {
	Received func(*Packet) // a frame from the network
	Sent     func(*Packet) // a frame of our own host
	Failed   func(error)   // a reader has ended by itself; at most LinkReaders times
}

// Listen has the Link's readers work until ctx ends or the Link is closed.
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

// SetInterest changes what the readers get to see, and of what our own host sends
// the packets to in.Sent. See Interface.SetInterest.
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

// Rejected returns how many frames could not be used on this Link and those before
// it, by reason. Every reason is there, also at 0.
func (l *Link) Rejected() map[Verdict]uint64 {
	rejected := l.Interface.Rejected()
	for _, more := range []map[Verdict]uint64{l.neighbors.Rejected(), l.rejected} {
		for v, count := range more {
			rejected[v] += count
		}
	}
	return rejected
}

// Opened returns what the Link was opened with, to be compared with what is.
func (l *Link) Opened() Status { return Status{Index: l.Index(), MAC: l.MAC(), MTU: l.MTU()} }

// Close closes the sockets, and returns when their readers have ended.
func (l *Link) Close() error {
	l.Interface.Drops() // the kernel's count ends with the socket
	l.neighbors.Drops()
	err := errors.Join(l.Interface.Close(), l.neighbors.Close())
	if l.outgoing != nil {
		err = errors.Join(err, l.outgoing.Close())
	}
	return errors.Join(err, l.readers.Wait())
}
