package registration

import (
	"slices"
	"sync"

	"nightporter/internal/ratelimit"
)

// minPerSource is how many connections every source may hold at least: a host with several
// addresses to register must get through.
const minPerSource = 4

// connLimits bound the connections that are open at the same time.
type connLimits struct {
	total int // from all sources
	turns int // requests of one source that are decided at a time; zero: any number
}

// perSource is how many connections one source may hold.
func (l connLimits) perSource() int { return max(l.total/4, minPerSource) }

// reserved is how many connections only known machines may use, so that many unknown
// clients do not keep a known machine from registering.
func (l connLimits) reserved() int { return l.total / 8 }

// connLimiter counts the open connections, in all and of each source. A connection that has
// its answer is no longer counted.
type connLimiter struct {
	mu       sync.Mutex
	admitted uint64 // connections so far
	total    int
	unknown  int // of total, not from known machines
	bySource map[ratelimit.Source]*sourceConns
}

// sourceConns are the connections of one source.
type sourceConns struct {
	conns    []*clientConn // the oldest first
	deciding int           // conns whose requests are with the handler
}

// clientConn is one connection. It may be evicted for another one until its request is with
// the handler: a client that sends slowly, sends nothing, or sends many requests at once must
// not keep other clients out.
type clientConn struct {
	source ratelimit.Source
	known  bool   // the source is a known machine
	evict  func() // ends the read of its request; must not block

	// Of the connLimiter.
	limits   connLimits
	order    uint64
	turn     chan struct{} // closed when its request may be decided
	evicted  chan struct{} // closed when it is evicted
	received bool          // its request has arrived
	waiting  bool          // for its turn
	deciding bool
	released bool // no longer counted
}

// admit counts one more connection, and evicts another one if there is no room. One host
// cannot keep the others out: it holds at most a quarter of all connections, and all of these
// but one are evicted for other hosts. allow is called last, for a connection that has room;
// its error is returned.
func (l *connLimiter) admit(c *clientConn, limits connLimits, allow func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	old, ok := l.makeRoom(c, limits)
	if !ok {
		return errCrowded
	}
	if err := allow(); err != nil {
		return err
	}
	if old != nil {
		l.remove(old)
		close(old.evicted)
		old.evict()
	}
	l.add(c, limits)
	return nil
}

// makeRoom reports whether c may be admitted, and returns the connection to evict for it; nil
// if there is room.
func (l *connLimiter) makeRoom(c *clientConn, limits connLimits) (old *clientConn, ok bool) {
	own := l.connsOf(c.source)
	onlyKnown := !c.known && l.unknown >= limits.total-limits.reserved()
	switch {
	case len(own.conns) >= limits.perSource():
		old = own.oldestReading()
	case onlyKnown || l.total >= limits.total:
		old = l.victim(c, own, onlyKnown)
	default:
		return nil, true
	}
	return old, old != nil
}

// victim returns the connection to evict for c, or nil: the oldest evictable one of the
// source that holds most connections, if that source holds more than c's own; else the
// oldest of c's own source whose request has not arrived. With unknownOnly connections of
// known machines are not evicted.
func (l *connLimiter) victim(c *clientConn, own *sourceConns, unknownOnly bool) *clientConn {
	old, most := own.oldestReading(), len(own.conns)
	for source, s := range l.bySource {
		candidate, n := s.evictable(), len(s.conns)
		if source == c.source || candidate == nil || unknownOnly && candidate.known || n <= len(own.conns) {
			continue
		}
		if n > most || n == most && candidate.order < old.order {
			old, most = candidate, n
		}
	}
	return old
}

// oldestReading returns the oldest connection whose request has not arrived, or nil.
func (s *sourceConns) oldestReading() *clientConn {
	for _, c := range s.conns {
		if !c.received {
			return c
		}
	}
	return nil
}

// evictable returns the connection to evict first for another source, or nil: the oldest one
// whose request has not arrived, else the newest one that waits for its turn.
func (s *sourceConns) evictable() *clientConn {
	if c := s.oldestReading(); c != nil {
		return c
	}
	for _, c := range slices.Backward(s.conns) {
		if !c.deciding {
			return c
		}
	}
	return nil
}

// requestArrived records that c's request has arrived, and reports false if c was evicted
// before.
func (l *connLimiter) requestArrived(c *clientConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.received = true
	return !c.released
}

// awaitTurn returns a channel that is closed when c's request may be decided. Turns bound what
// the requests of one source cost: to decide one takes ARP and NDP requests and up to several
// seconds.
func (l *connLimiter) awaitTurn(c *clientConn) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.waiting = true
	l.connsOf(c.source).grantTurns()
	return c.turn
}

// grantTurns starts as many waiting requests as the limit allows.
func (s *sourceConns) grantTurns() {
	for _, c := range s.conns {
		if c.waiting && (c.limits.turns == 0 || s.deciding < c.limits.turns) {
			c.waiting, c.deciding = false, true
			s.deciding++
			close(c.turn)
		}
	}
}

// release stops counting c. It may be called again.
func (l *connLimiter) release(c *clientConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !c.released {
		l.remove(c)
	}
}

// connsOf returns the connections of a source, which may be none.
func (l *connLimiter) connsOf(source ratelimit.Source) *sourceConns {
	if s := l.bySource[source]; s != nil {
		return s
	}
	return new(sourceConns)
}

func (l *connLimiter) add(c *clientConn, limits connLimits) {
	l.admitted++
	c.limits, c.order, c.turn, c.evicted = limits, l.admitted, make(chan struct{}), make(chan struct{})
	l.total++
	if !c.known {
		l.unknown++
	}
	if l.bySource == nil {
		l.bySource = make(map[ratelimit.Source]*sourceConns)
	}
	s := l.connsOf(c.source)
	s.conns = append(s.conns, c)
	l.bySource[c.source] = s
}

func (l *connLimiter) remove(c *clientConn) {
	c.released = true
	l.total--
	if !c.known {
		l.unknown--
	}
	s := l.bySource[c.source]
	s.conns = slices.DeleteFunc(s.conns, func(o *clientConn) bool { return o == c })
	if c.deciding {
		s.deciding--
	}
	s.grantTurns()
	if len(s.conns) == 0 {
		delete(l.bySource, c.source)
	}
}

// Bounds of the connections that have their answer and are not closed yet.
const (
	maxClosing       = 64
	closingPerSource = 8
)

// closingLimiter counts those connections, in all and of each source. The zero value is ready.
type closingLimiter struct {
	mu       sync.Mutex
	total    int
	bySource map[ratelimit.Source]int
}

// admit reports whether one more connection of source may stay open. It must be released.
func (l *closingLimiter) admit(source ratelimit.Source) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total >= maxClosing || l.bySource[source] >= closingPerSource {
		return false
	}
	if l.bySource == nil {
		l.bySource = make(map[ratelimit.Source]int)
	}
	l.total++
	l.bySource[source]++
	return true
}

func (l *closingLimiter) release(source ratelimit.Source) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if l.bySource[source]--; l.bySource[source] == 0 {
		delete(l.bySource, source)
	}
}
