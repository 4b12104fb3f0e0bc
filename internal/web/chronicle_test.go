package web_test

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"nightporter/internal/journal"
)

// chronicle is what a house remembers, and who follows it.
type chronicle struct {
	room int // of a follower; more than that is not told
	keep int // events that are remembered; 0: all

	mu        sync.Mutex
	all       []journal.Event
	seq       uint64
	followers map[chan journal.Event]bool
}

// happen lets something happen to each of the machines, in turn.
func (c *chronicle) happen(machines ...string) {
	for _, m := range machines {
		c.tell(event(0, m))
	}
}

// last returns the Seq of the last event.
func (c *chronicle) last() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seq
}

// tell has e happen, as the next event.
func (c *chronicle) tell(e journal.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seq++
	e.Seq = c.seq
	c.all = append(c.all, e)
	if c.keep > 0 && len(c.all) > c.keep {
		c.all = c.all[1:]
	}
	for f := range c.followers {
		select {
		case f <- e:
		default:
		}
	}
}

func event(seq uint64, name string) journal.Event {
	return journal.Event{
		At: midnight, Seq: seq, Kind: journal.Knock, Machine: name,
		Source: netip.MustParseAddrPort("192.0.2.9:40000"), Service: "192.0.2.5:22/tcp", Boot: 12300 * time.Millisecond,
	}
}

func (c *chronicle) Events(since uint64, name string, limit int) []journal.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []journal.Event
	for _, e := range c.all {
		if e.Seq > since && (name == "" || e.Machine == name) {
			found = append(found, e)
		}
	}
	return found[max(0, len(found)-limit):]
}

func (c *chronicle) Follow(ctx context.Context) <-chan journal.Event {
	f := make(chan journal.Event, c.room)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.followers == nil {
		c.followers = make(map[chan journal.Event]bool)
	}
	c.followers[f] = true
	context.AfterFunc(ctx, func() { c.drop(f) })
	return f
}

func (c *chronicle) drop(f chan journal.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.followers[f] {
		delete(c.followers, f)
		close(f)
	}
}

// end has nothing happen any more.
func (c *chronicle) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for f := range c.followers {
		delete(c.followers, f)
		close(f)
	}
}

// following returns how many follow.
func (c *chronicle) following() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.followers)
}
