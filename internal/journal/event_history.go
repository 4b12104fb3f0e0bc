package journal

import (
	"context"
	"sync"
)

// maxEvents is how many events are kept.
const maxEvents = 1000

// history is the last events, in the order of their Seq.
type history struct {
	ring  []Event
	first int // index of the oldest, once the ring is full
}

func (h *history) add(e Event) {
	if len(h.ring) < maxEvents {
		h.ring = append(h.ring, e)
		return
	}
	h.ring[h.first] = e
	h.first = (h.first + 1) % maxEvents
}

// last returns the Seq of the newest event, or 0.
func (h *history) last() uint64 {
	if len(h.ring) == 0 {
		return 0
	}
	return h.ring[(h.first+len(h.ring)-1)%len(h.ring)].Seq
}

// all calls yield with each event, oldest first.
func (h *history) all(yield func(*Event) bool) {
	for i := range h.ring {
		if !yield(&h.ring[(h.first+i)%len(h.ring)]) {
			return
		}
	}
}

// newest returns the newest events, oldest first: those after since, of the
// machine of that name unless it is empty, and no more than limit unless that
// is 0 or less.
func (h *history) newest(since uint64, machine string, limit int) []Event {
	var found []Event
	for e := range h.all {
		if e.Seq > since && (machine == "" || e.Machine == machine) {
			found = append(found, *e)
		}
	}
	if limit > 0 && len(found) > limit {
		found = found[len(found)-limit:]
	}
	return found
}

// followerRoom is how many events a follower may be behind.
const followerRoom = 64

// followers receive every event.
type followers struct {
	mu     sync.Mutex
	all    map[chan Event]struct{}
	closed bool
}

func (f *followers) follow(ctx context.Context) <-chan Event {
	ch := make(chan Event, followerRoom)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		close(ch)
		return ch
	}
	if f.all == nil {
		f.all = make(map[chan Event]struct{})
	}
	f.all[ch] = struct{}{}
	context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.drop(ch)
	})
	return ch
}

// drop ends a subscription, once. The caller holds f.mu.
func (f *followers) drop(ch chan Event) {
	if _, ok := f.all[ch]; ok {
		delete(f.all, ch)
		close(ch)
	}
}

// send passes an event on. A follower that has no room for it misses it.
func (f *followers) send(e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for ch := range f.all {
		select {
		case ch <- e:
		default:
		}
	}
}

func (f *followers) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for ch := range f.all {
		f.drop(ch)
	}
}
