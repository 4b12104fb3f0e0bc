package registration

import (
	"slices"
	"sync"

	"nightporter/internal/ratelimit"
)

// minPerSource is how many connections every source may hold, however few there
// are: a host with several addresses to register must get through.
const minPerSource = 4

// gate knows the connections that are open, in all and of each source.
type gate struct {
	mu       sync.Mutex
	total    int
	bySource map[ratelimit.Source][]*visitor // the oldest first
}

// visitor is one connection. Until its request has arrived it may have to give
// way to another: a client that has something to say sends it at once, and
// whoever sends slowly, or nothing, is not to keep others out.
type visitor struct {
	source   ratelimit.Source
	giveWay  func() // ends the wait for its request; must not block
	received bool
	gone     bool // it gave way
}

// enter admits one more connection of source, if need be in place of another
// that is still to send its request. One host cannot shut the others out: alone
// it holds at most a quarter of what there may be. further has the last word on
// a connection for which there is a place.
func (g *gate) enter(source ratelimit.Source, most int, giveWay func(), further func() error) (*visitor, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	full := g.total >= most || len(g.bySource[source]) >= max(most/4, minPerSource)
	var old *visitor
	if full {
		if old = g.idler(source, most); old == nil {
			return nil, errCrowded
		}
	}
	if err := further(); err != nil {
		return nil, err
	}
	if old != nil {
		g.remove(old)
		old.gone = true
		old.giveWay()
	}
	v := &visitor{source: source, giveWay: giveWay}
	if g.bySource == nil {
		g.bySource = make(map[ratelimit.Source][]*visitor)
	}
	g.total++
	g.bySource[source] = append(g.bySource[source], v)
	return v, nil
}

// idler returns who is to give way to a newcomer of source: of the source with
// most connections the one that has been about to send its request for the
// longest. A source with as many itself, or with all it may have, has only its
// own to give.
func (g *gate) idler(source ratelimit.Source, most int) *visitor {
	own := len(g.bySource[source])
	victim := idlest(g.bySource[source])
	if own >= max(most/4, minPerSource) {
		return victim
	}
	held := own
	for s, vs := range g.bySource {
		if v := idlest(vs); v != nil && s != source && len(vs) > held {
			victim, held = v, len(vs)
		}
	}
	return victim
}

func idlest(vs []*visitor) *visitor {
	i := slices.IndexFunc(vs, func(v *visitor) bool { return !v.received })
	if i < 0 {
		return nil
	}
	return vs[i]
}

// receive notes that v's request has arrived, and reports false if v has given
// way before.
func (g *gate) receive(v *visitor) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	v.received = true
	return !v.gone
}

// leave gives back what enter took.
func (g *gate) leave(v *visitor) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !v.gone {
		g.remove(v)
	}
}

func (g *gate) remove(v *visitor) {
	g.total--
	vs := slices.DeleteFunc(g.bySource[v.source], func(o *visitor) bool { return o == v })
	if g.bySource[v.source] = vs; len(vs) == 0 {
		delete(g.bySource, v.source)
	}
}
