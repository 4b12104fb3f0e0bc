package web

import (
	"cmp"
	"sync"
	"time"

	"nightporter/internal/ratelimit"
)

// slots bounds what is held at once: in all, and by each source. Where there is no
// room, the source that holds most makes room for one that holds less. Clients on
// the loopback have slots of their own, which no other host can take.
type slots struct {
	network  pool
	loopback pool
}

// newSlots returns most slots, each of them for one source at most. See evictable for
// minHold.
func newSlots(most, each int, minHold time.Duration) *slots {
	return &slots{
		network:  pool{most: most, each: each, minHold: minHold, held: make(map[ratelimit.Source][]*slot)},
		loopback: pool{most: most, each: most, minHold: minHold, held: make(map[ratelimit.Source][]*slot)},
	}
}

// take returns a slot for p, or nil if there is none. evict ends what holds the
// slot, if that has to make room for another. It must not block.
func (ps *slots) take(p peer, doing activity, evict func()) *slot {
	if p.loopback {
		return ps.loopback.take(p, doing, evict)
	}
	return ps.network.take(p, doing, evict)
}

// activity is what a connection does at present.
type activity int

const (
	waiting activity = iota // for a request
	busy                    // with one
)

// slot is what one connection or stream holds.
type slot struct {
	pool  *pool
	peer  peer
	evict func()

	// Guarded by the pool.
	doing    activity
	since    time.Time
	exempted int // while it is above 0 the slot is not taken back, and not counted
}

// pool is a number of slots.
type pool struct {
	most, each int
	minHold    time.Duration

	mu    sync.Mutex
	total int
	held  map[ratelimit.Source][]*slot
}

func (p *pool) take(of peer, doing activity, evict func()) *slot {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.total >= p.most || p.load(of.source) >= p.each {
		old := p.evictee(of.source, now)
		if old == nil {
			return nil
		}
		p.remove(old)
		old.evict()
	}
	c := &slot{pool: p, peer: of, evict: evict, doing: doing, since: now}
	p.total++
	p.held[of.source] = append(p.held[of.source], c)
	return c
}

// load returns how many slots count as those of source.
func (p *pool) load(source ratelimit.Source) (n int) {
	for _, c := range p.held[source] {
		if c.exempted == 0 {
			n++
		}
	}
	return n
}

// candidate is a slot that may be taken back.
type candidate struct {
	*slot
	load int  // of its source
	old  bool // it has done the same for minHold
}

// evictee returns the slot that makes room for one more of source, or nil. A source
// with a full share gives up one of its own.
func (p *pool) evictee(source ratelimit.Source, now time.Time) *slot {
	own := p.load(source)
	var found candidate
	for s, held := range p.held {
		if own >= p.each && s != source {
			continue
		}
		load := p.load(s)
		for _, c := range held {
			next := candidate{c, load, now.Sub(c.since) >= p.minHold}
			if next.evictable(source, own) && (found.slot == nil || next.compare(found) < 0) {
				found = next
			}
		}
	}
	return found.slot
}

// evictable reports whether c may be taken back for one more of source, which has own:
// where source is then still the one that holds less, and after minHold also where
// they have changed slots. What waits evictable to its own source as well.
func (c candidate) evictable(source ratelimit.Source, own int) bool {
	switch {
	case c.exempted > 0:
		return false
	case c.peer.source == source:
		return c.doing == waiting
	default:
		return c.load > own+1 || c.load > own && c.old
	}
}

// compare orders slots by who is evicted first: of the source that holds most, what
// has waited for minHold, and then what is oldest. What has not waited for so long
// has a request on its way.
func (c candidate) compare(other candidate) int {
	return cmp.Or(
		cmp.Compare(other.load, c.load),
		cmp.Compare(other.idle(), c.idle()),
		c.since.Compare(other.since),
	)
}

// idle returns 1 for a slot that has waited for minHold, else 0.
func (c candidate) idle() int {
	if c.doing == waiting && c.old {
		return 1
	}
	return 0
}

func (p *pool) remove(c *slot) {
	for i, other := range p.held[c.peer.source] {
		if other == c {
			p.total--
			p.held[c.peer.source] = append(p.held[c.peer.source][:i], p.held[c.peer.source][i+1:]...)
			break
		}
	}
	if len(p.held[c.peer.source]) == 0 {
		delete(p.held, c.peer.source)
	}
}

// release gives the slot back. An evicted slot is given back already.
func (c *slot) release() {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	c.pool.remove(c)
}

// now notes what the connection does from now on.
func (c *slot) setActivity(doing activity) {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	c.doing, c.since = doing, time.Now()
}

// keep has the slot not be taken back, nor counted as its source's, until release is
// called: something on its connection has a slot of its own.
func (c *slot) exempt() (end func()) {
	if c == nil { // a request without a connection of ours
		return func() {}
	}
	add := func(n int) {
		c.pool.mu.Lock()
		defer c.pool.mu.Unlock()
		c.exempted += n
	}
	add(1)
	return func() { add(-1) }
}
