package web

import (
	"cmp"
	"sync"
	"time"

	"nightporter/internal/ratelimit"
)

// places bounds what is held at once: in all, and by each source. Where there is no
// room, the source that holds most makes room for one that holds less. Clients on
// the loopback have places of their own, which no other host can take.
type places struct {
	network  pool
	loopback pool
}

// newPlaces returns most places, each of them for one source at most. See yields for
// patience.
func newPlaces(most, each int, patience time.Duration) *places {
	return &places{
		network:  pool{most: most, each: each, patience: patience, held: make(map[ratelimit.Source][]*place)},
		loopback: pool{most: most, each: most, patience: patience, held: make(map[ratelimit.Source][]*place)},
	}
}

// take returns a place for p, or nil if there is none. giveWay ends what holds the
// place, if that has to make room for another. It must not block.
func (ps *places) take(p peer, doing activity, giveWay func()) *place {
	if p.loopback {
		return ps.loopback.take(p, doing, giveWay)
	}
	return ps.network.take(p, doing, giveWay)
}

// activity is what a connection does at present.
type activity int

const (
	waiting activity = iota // for a request
	busy                    // with one
)

// place is what one connection or stream holds.
type place struct {
	pool    *pool
	peer    peer
	giveWay func()

	// Guarded by the pool.
	doing activity
	since time.Time
	kept  int // while it is above 0 the place is not taken back, and not counted
}

// pool is a number of places.
type pool struct {
	most, each int
	patience   time.Duration

	mu    sync.Mutex
	total int
	held  map[ratelimit.Source][]*place
}

func (p *pool) take(of peer, doing activity, giveWay func()) *place {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.total >= p.most || p.load(of.source) >= p.each {
		old := p.victim(of.source, now)
		if old == nil {
			return nil
		}
		p.remove(old)
		old.giveWay()
	}
	c := &place{pool: p, peer: of, giveWay: giveWay, doing: doing, since: now}
	p.total++
	p.held[of.source] = append(p.held[of.source], c)
	return c
}

// load returns how many places count as those of source.
func (p *pool) load(source ratelimit.Source) (n int) {
	for _, c := range p.held[source] {
		if c.kept == 0 {
			n++
		}
	}
	return n
}

// candidate is a place that may be taken back.
type candidate struct {
	*place
	load int  // of its source
	old  bool // it has done the same for patience
}

// victim returns the place that makes room for one more of source, or nil. A source
// with a full share gives up one of its own.
func (p *pool) victim(source ratelimit.Source, now time.Time) *place {
	own := p.load(source)
	var found candidate
	for s, held := range p.held {
		if own >= p.each && s != source {
			continue
		}
		load := p.load(s)
		for _, c := range held {
			next := candidate{c, load, now.Sub(c.since) >= p.patience}
			if next.yields(source, own) && (found.place == nil || next.compare(found) < 0) {
				found = next
			}
		}
	}
	return found.place
}

// yields reports whether c may be taken back for one more of source, which has own:
// where source is then still the one that holds less, and after patience also where
// they have changed places. What waits yields to its own source as well.
func (c candidate) yields(source ratelimit.Source, own int) bool {
	switch {
	case c.kept > 0:
		return false
	case c.peer.source == source:
		return c.doing == waiting
	default:
		return c.load > own+1 || c.load > own && c.old
	}
}

// compare puts those that give way first in front: of the source that holds most, what
// has waited for patience, and then what is oldest. What has not waited for so long
// has a request on its way.
func (c candidate) compare(other candidate) int {
	return cmp.Or(
		cmp.Compare(other.load, c.load),
		cmp.Compare(other.idle(), c.idle()),
		c.since.Compare(other.since),
	)
}

// idle returns 1 for a place that has waited for patience, else 0.
func (c candidate) idle() int {
	if c.doing == waiting && c.old {
		return 1
	}
	return 0
}

func (p *pool) remove(c *place) {
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

// leave gives the place back. A place that gave way before is given back already.
func (c *place) leave() {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	c.pool.remove(c)
}

// now notes what the connection does from now on.
func (c *place) now(doing activity) {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	c.doing, c.since = doing, time.Now()
}

// keep has the place not be taken back, nor counted as its source's, until release is
// called: something on its connection has a place of its own.
func (c *place) keep() (release func()) {
	if c == nil { // a request without a connection of ours
		return func() {}
	}
	add := func(n int) {
		c.pool.mu.Lock()
		defer c.pool.mu.Unlock()
		c.kept += n
	}
	add(1)
	return func() { add(-1) }
}
