package porter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"

	"golang.org/x/sync/errgroup"

	"nightporter/internal/config"
	"nightporter/internal/fastpath"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// link is what is open on an interface: its sockets, with the index, the MAC and
// the MTU that it had then. It is never changed; where one of these is another,
// the nic gets a new link as a whole. The readers of the old one have ended by
// then, so that there is never more than one and they need no lock.
type link struct {
	*lan.Interface
	neighbors *lan.Neighbors // ARP and neighbour discovery, which must not hold up a knock
	outgoing  *lan.Outgoing  // what our own host sends; nil unless that may wake

	readers errgroup.Group
	failed  chan error // why a reader ended by itself

	// What links before this one have counted.
	drops    uint64
	rejected map[lan.Verdict]uint64
}

// openNICs opens the interfaces that conf names, or the one of the default route.
func (p *Porter) openNICs(conf *config.Config) error {
	names := conf.Interfaces
	if len(names) == 0 {
		name, err := lan.DefaultInterface()
		if err != nil {
			return err
		}
		names = []string{name}
	}
	for _, name := range names {
		n, err := openNIC(name, conf.Wake.Local, p.sightings, p.replied, p.log)
		if err != nil {
			return err
		}
		p.nics = append(p.nics, n)
	}
	return nil
}

// open gives n a link. Without one before it there is nothing to count on.
func (n *nic) open(log *slog.Logger) error {
	ifi, err := lan.Open(n.name, log)
	if err != nil {
		return err
	}
	l := &link{Interface: ifi, failed: make(chan error, 3)}
	if l.neighbors, err = ifi.OpenNeighbors(log); err != nil {
		return errors.Join(err, ifi.Close())
	}
	if n.local {
		if l.outgoing, err = lan.OpenOutgoing(n.name, log); err != nil {
			return errors.Join(err, l.Close())
		}
	}
	if old := n.link.Load(); old != nil {
		l.drops, l.rejected = old.counts()
	}
	n.reader.SetSelf(ifi.MAC())
	n.link.Store(l)
	return nil
}

// filter sets the kernel filters for a view.
func (l *link) filter(v *fastpath.View, own []netip.Addr) error {
	in := v.Interest(own)
	err := l.SetInterest(in)
	if l.outgoing != nil {
		err = errors.Join(err, l.outgoing.SetAddrs(in.Addrs))
	}
	return err
}

// counts returns what was dropped and rejected on this link and those before it.
func (l *link) counts() (drops uint64, rejected map[lan.Verdict]uint64) {
	rejected = l.Interface.Rejected()
	for _, more := range []map[lan.Verdict]uint64{l.neighbors.Rejected(), l.rejected} {
		for v, count := range more {
			rejected[v] += count
		}
	}
	return l.drops + l.Interface.Drops() + l.neighbors.Drops(), rejected
}

// listen has n's readers work until ctx ends or the link is closed. One that ends
// for another reason leaves it in failed, and then calls kick.
func (n *nic) listen(ctx context.Context, kick func()) {
	l := n.link.Load()
	read := func(run func() error) {
		l.readers.Go(func() error {
			if err := run(); err != nil && !errors.Is(err, net.ErrClosed) {
				l.failed <- err
				kick()
			}
			return nil
		})
	}
	read(func() error { return l.Run(ctx, n.reader.Handle) })
	read(func() error { return l.neighbors.Run(ctx, n.reader.Handle) })
	if l.outgoing != nil {
		read(func() error { return l.outgoing.Run(ctx, n.reader.HandleOutgoing) })
	}
}

// Close closes the sockets, and returns when their readers have ended.
func (l *link) Close() error {
	l.Drops() // the kernel's count ends with the socket
	l.neighbors.Drops()
	err := errors.Join(l.Interface.Close(), l.neighbors.Close())
	if l.outgoing != nil {
		err = errors.Join(err, l.outgoing.Close())
	}
	return errors.Join(err, l.readers.Wait())
}

// Close closes what is open on the interface.
func (n *nic) Close() error { return n.link.Load().Close() }

// closed reports whether nothing is.
func (n *nic) closed() bool { return n.link.Load().Closed() }

// Name returns the interface's name.
func (n *nic) Name() string { return n.name }

// Index returns the kernel's number of the interface, as it was when it was opened last.
func (n *nic) Index() int { return n.link.Load().Index() }

// MAC returns our address on the interface, as it was then.
func (n *nic) MAC() machine.MAC { return n.link.Load().MAC() }

// MTU returns the interface's MTU in octets, as it was then.
func (n *nic) MTU() int { return n.link.Load().MTU() }

// Send puts a frame on the wire.
func (n *nic) Send(frame []byte) error { return n.link.Load().Send(frame) }

// opened returns what the link was opened with, to be compared with what is.
func (n *nic) opened() lan.Status {
	l := n.link.Load()
	return lan.Status{Index: l.Index(), MAC: l.MAC(), MTU: l.MTU()}
}

// out returns why nothing can be done on the interface, or nil.
func (n *nic) out() error {
	if reason := n.trouble.Load(); reason != nil {
		return n.says(*reason)
	}
	return nil
}

// says makes an error of what is wrong with the interface; nothing is none.
func (n *nic) says(fault string) error {
	if fault == "" {
		return nil
	}
	return fmt.Errorf("interface %s %s", n.name, fault)
}
