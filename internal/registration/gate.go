package registration

import (
	"slices"
	"sync"

	"nightporter/internal/ratelimit"
)

// minPerSource is how many connections every source may hold, however few there
// are: a host with several addresses to register must get through.
const minPerSource = 4

// limits are how many connections there may be.
type limits struct {
	most  int // in all
	turns int // requests of one source that are decided at a time; zero: any number
}

// share is how many connections one source may hold.
func (l limits) share() int { return max(l.most/4, minPerSource) }

// kept is how many are kept free for machines that are known already, so that a
// crowd of others does not keep one of them from registering.
func (l limits) kept() int { return l.most / 8 }

// gate knows the connections that are open, in all and of each source. One that
// has its answer is none of them any more.
type gate struct {
	mu        sync.Mutex
	entered   uint64 // so far
	total     int
	strangers int // of total, not of machines that are known
	bySource  map[ratelimit.Source]*holder
}

// holder is a source and its connections.
type holder struct {
	visitors []*visitor // the oldest first
	deciding int        // of them, whose requests are with the handler
}

// visitor is one connection. Until its request is with the handler it may have to
// give way to another. A client that has a request sends it at once, and one that
// sends slowly, or nothing, is not to keep others out; nor is one that sends many
// requests at once.
type visitor struct {
	source  ratelimit.Source
	known   bool   // the source is a machine that is known
	giveWay func() // ends the wait for its request; must not block

	// The gate's own.
	limits   limits
	order    uint64
	turn     chan struct{} // closed when its request may be decided
	gone     chan struct{} // closed when it gave way
	received bool          // its request has arrived
	waiting  bool          // for its turn
	deciding bool
	left     bool // it holds no place any more
}

// enter admits one more connection, if need be in place of another. One host
// cannot shut the others out: alone it holds at most a quarter of what there may
// be, and of that all but one gives way to others. further has the last word on a
// connection for which there is a place.
func (g *gate) enter(v *visitor, l limits, further func() error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	old, ok := g.room(v, l)
	if !ok {
		return errCrowded
	}
	if err := further(); err != nil {
		return err
	}
	if old != nil {
		g.remove(old)
		close(old.gone)
		old.giveWay()
	}
	g.add(v, l)
	return nil
}

// room reports whether v may enter, and which connection has to give way to it;
// nil if none.
func (g *gate) room(v *visitor, l limits) (old *visitor, ok bool) {
	own := g.holder(v.source)
	crowd := !v.known && g.strangers >= l.most-l.kept()
	switch {
	case len(own.visitors) >= l.share():
		old = own.reading()
	case crowd || g.total >= l.most:
		old = g.idler(v, own, crowd)
	default:
		return nil, true
	}
	return old, old != nil
}

// idler returns which connection is to give way to v: of the source with most
// connections the one that is idle for the longest. A source with as many itself
// has only its own to give. With crowd it has to be a stranger's.
func (g *gate) idler(v *visitor, own *holder, crowd bool) *visitor {
	old, most := own.reading(), len(own.visitors)
	for source, h := range g.bySource {
		idle, n := h.idle(), len(h.visitors)
		if source == v.source || idle == nil || crowd && idle.known || n <= len(own.visitors) {
			continue
		}
		if n > most || n == most && idle.order < old.order {
			old, most = idle, n
		}
	}
	return old
}

// reading returns the oldest connection whose request has not arrived, or nil.
func (h *holder) reading() *visitor {
	for _, v := range h.visitors {
		if !v.received {
			return v
		}
	}
	return nil
}

// idle returns the connection that gives way first to those of other sources: the
// oldest whose request has not arrived, then the last that waits for its turn.
func (h *holder) idle() *visitor {
	if v := h.reading(); v != nil {
		return v
	}
	for _, v := range slices.Backward(h.visitors) {
		if !v.deciding {
			return v
		}
	}
	return nil
}

// receive notes that v's request has arrived, and reports false if v has given
// way before.
func (g *gate) receive(v *visitor) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	v.received = true
	return !v.left
}

// await has v wait for its turn, and returns what is closed when that has come. A
// source has so many turns at a time: what it costs to decide its requests, which
// takes questions to the LAN and up to some seconds, is bounded for each source.
func (g *gate) await(v *visitor) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	v.waiting = true
	g.holder(v.source).next()
	return v.turn
}

// next gives those their turn that can have it.
func (h *holder) next() {
	for _, v := range h.visitors {
		if v.waiting && (v.limits.turns == 0 || h.deciding < v.limits.turns) {
			v.waiting, v.deciding = false, true
			h.deciding++
			close(v.turn)
		}
	}
}

// leave gives back what enter took. It may be called again.
func (g *gate) leave(v *visitor) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !v.left {
		g.remove(v)
	}
}

// holder returns that of a source, with no connection if it has none.
func (g *gate) holder(source ratelimit.Source) *holder {
	if h := g.bySource[source]; h != nil {
		return h
	}
	return new(holder)
}

func (g *gate) add(v *visitor, l limits) {
	g.entered++
	v.limits, v.order, v.turn, v.gone = l, g.entered, make(chan struct{}), make(chan struct{})
	g.total++
	if !v.known {
		g.strangers++
	}
	if g.bySource == nil {
		g.bySource = make(map[ratelimit.Source]*holder)
	}
	h := g.holder(v.source)
	h.visitors = append(h.visitors, v)
	g.bySource[v.source] = h
}

func (g *gate) remove(v *visitor) {
	v.left = true
	g.total--
	if !v.known {
		g.strangers--
	}
	h := g.bySource[v.source]
	h.visitors = slices.DeleteFunc(h.visitors, func(o *visitor) bool { return o == v })
	if v.deciding {
		h.deciding--
	}
	h.next()
	if len(h.visitors) == 0 {
		delete(g.bySource, v.source)
	}
}
