package lan

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"nightporter/internal/wait"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	// gathering is how long changes are collected, from the first one on: a link that
	// comes up causes a dozen messages, of which the last state counts.
	gathering = 150 * time.Millisecond

	// redialPause is the pause before a new subscription after a failure. Everything may
	// have changed in between.
	redialPause = time.Second
)

// Change is what the kernel reported about one interface. Its link, addresses or routes
// may have changed. A short loss counts even if the state is the same afterwards, because
// the kernel drops with a link or an address what depends on it.
type Change struct {
	LinkLost bool // it was down, without a carrier, or removed
	AddrLost bool // an address was removed
}

// Changes are the changes of the interfaces of the host in a short time.
type Changes struct {
	Everything bool           // messages were lost: read everything again
	Of         map[int]Change // by index
}

// To returns the change of the interface index, and whether there may be one.
func (c Changes) To(index int) (Change, bool) {
	if c.Everything {
		return Change{LinkLost: true, AddrLost: true}, true
	}
	change, ok := c.Of[index]
	return change, ok
}

// Watcher is a subscription to changes of links, addresses and routes (rtnetlink(7)).
type Watcher struct {
	log  *slog.Logger
	dial func() (subscription, error)
	conn subscription
}

// subscription are the methods of *netlink.Conn that a Watcher uses.
type subscription interface {
	Receive() ([]netlink.Message, error)
	SetReadDeadline(time.Time) error
	Close() error
}

// Watch subscribes in the network namespace of the calling thread. The kernel queues
// changes from then on until Run reads them.
func Watch(log *slog.Logger) (*Watcher, error) {
	w := &Watcher{log: log, dial: subscribe}
	var err error
	w.conn, err = w.dial()
	return w, err
}

func subscribe() (subscription, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{
		Groups: unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR |
			unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE,
	})
	if err != nil {
		return nil, fmt.Errorf("subscribe to network changes: %w", err)
	}
	return conn, nil
}

// Close ends the subscription. Run must not be active.
func (w *Watcher) Close() error {
	if w.conn == nil {
		return nil
	}
	return w.conn.Close()
}

// Run passes changes to tell until ctx ends, those of a burst together, some 150 ms after
// the first. After a failure it subscribes again.
func (w *Watcher) Run(ctx context.Context, tell func(Changes)) {
	for failing := false; ; failing = true {
		err := w.follow(ctx, tell)
		if ctx.Err() != nil {
			return
		}
		if !failing {
			w.log.Warn("cannot watch for changes of the network: it is read periodically", "event", "watch_failed", "err", err, "every", redialPause)
		}
		if !wait.For(ctx, redialPause) {
			return
		}
		tell(Changes{Everything: true})
	}
}

// follow reads until ctx ends or the subscription fails.
func (w *Watcher) follow(ctx context.Context, tell func(Changes)) error {
	if w.conn == nil {
		conn, err := w.dial()
		if err != nil {
			return err
		}
		w.conn = conn
	}
	conn := w.conn
	defer breakOff(ctx, conn)()
	for ctx.Err() == nil {
		burst, err := gather(ctx, conn)
		if err != nil {
			w.conn = nil
			return errors.Join(err, conn.Close())
		}
		if burst.Everything || len(burst.Of) > 0 {
			tell(burst)
		}
	}
	return nil
}

// breakOff ends the wait of conn for a message once ctx ends, until stop is called.
func breakOff(ctx context.Context, conn interface{ SetReadDeadline(time.Time) error }) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		_ = conn.SetReadDeadline(time.Unix(1, 0)) // no read waits on a failed socket
	})
}

// gather waits for a message and collects those that follow it. It ends early with ctx.
func gather(ctx context.Context, conn subscription) (Changes, error) {
	burst := Changes{Of: make(map[int]Change)}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return burst, err
	}
	for waiting := true; ctx.Err() == nil; {
		messages, err := conn.Receive()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return burst, nil
		case errors.Is(err, unix.ENOBUFS): // netlink(7): messages were dropped
			burst.Everything = true
		case err != nil:
			return burst, err
		}
		for _, m := range messages {
			burst.note(m)
		}
		if waiting && (burst.Everything || len(burst.Of) > 0) {
			waiting = false
			if err := conn.SetReadDeadline(time.Now().Add(gathering)); err != nil {
				return burst, err
			}
		}
	}
	return burst, nil
}

// note adds the content of one message. A malformed message means that something has
// changed.
func (c *Changes) note(m netlink.Message) {
	var index int
	var change Change
	ok := true
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		if ok = len(m.Data) >= unix.SizeofIfInfomsg; !ok {
			break
		}
		if m.Data[0] != unix.AF_UNSPEC {
			return // about the port of a bridge, not the link itself
		}
		index = word(m.Data[4:])
		const works = unix.IFF_UP | unix.IFF_RUNNING
		change.LinkLost = m.Header.Type == unix.RTM_DELLINK || word(m.Data[8:])&works != works
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		if ok = len(m.Data) >= unix.SizeofIfAddrmsg; ok {
			index = word(m.Data[4:])
		}
		change.AddrLost = m.Header.Type == unix.RTM_DELADDR
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		if index, ok = routeIndex(m.Data); ok && index == 0 {
			return // a route without an interface
		}
	default:
		return
	}
	if !ok {
		c.Everything = true
		return
	}
	had := c.Of[index]
	c.Of[index] = Change{LinkLost: had.LinkLost || change.LinkLost, AddrLost: had.AddrLost || change.AddrLost}
}

// routeIndex returns the interface of a route, 0 without one. It is false for several
// interfaces and for a malformed message.
func routeIndex(data []byte) (int, bool) {
	if len(data) < unix.SizeofRtMsg {
		return 0, false
	}
	attributes, err := netlink.NewAttributeDecoder(data[unix.SizeofRtMsg:])
	if err != nil {
		return 0, false
	}
	index := 0
	for attributes.Next() {
		switch attributes.Type() {
		case unix.RTA_OIF:
			index = int(attributes.Uint32())
		case unix.RTA_MULTIPATH:
			return 0, false
		}
	}
	return index, attributes.Err() == nil
}

func word(b []byte) int { return int(binary.NativeEndian.Uint32(b)) }
