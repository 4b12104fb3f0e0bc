// Package ratelimit limits the rate of events of each source on the network, in bounded memory.
package ratelimit

import (
	"container/list"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxSources bounds the sources of a Limiter, and so its memory to 1 MiB. Beyond it the source
// with the oldest event is removed. A client with more networks than that (a /48 holds 65,536
// of 64 bits) is not stopped by limits of each source; there are limits on all sources together.
const maxSources = 2048

// Limiter allows each source a burst of events, and further ones at a steady rate. The zero
// Limiter allows all events.
type Limiter struct {
	mu       sync.Mutex
	limited  bool
	limit    rate.Limit
	burst    int
	bySource map[Source]*list.Element
	recent   list.List // of *bucket, the latest used at the front
}

// bucket is the token bucket of one source.
type bucket struct {
	source Source
	tokens *rate.Limiter
}

// New returns a Limiter with the limits of SetLimit.
func New(limit rate.Limit, burst int) *Limiter {
	l := new(Limiter)
	l.SetLimit(limit, burst)
	return l
}

// PerMinute returns the arguments of New and SetLimit for n events a minute, half of them at
// once; 0 is no limit.
func PerMinute(n int) (limit rate.Limit, burst int) {
	if n <= 0 {
		return rate.Inf, 0
	}
	return rate.Every(time.Minute / time.Duration(n)), (n + 1) / 2
}

// SetLimit allows each source burst events at once and limit further ones a second; rate.Inf is
// no limit. A change resets all sources.
func (l *Limiter) SetLimit(limit rate.Limit, burst int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	limited := limit != rate.Inf
	if limited == l.limited && limit == l.limit && burst == l.burst {
		return
	}
	l.limited, l.limit, l.burst = limited, limit, burst
	l.bySource = make(map[Source]*list.Element)
	l.recent.Init()
}

// Take counts one event of source and returns 0, or counts nothing and returns how long source
// has to wait for its next one.
func (l *Limiter) Take(source Source) time.Duration { return l.next(source, true) }

// Wait returns how long source has to wait for its next event, and counts nothing: for events
// that are counted later, by their result.
func (l *Limiter) Wait(source Source) time.Duration { return l.next(source, false) }

func (l *Limiter) next(source Source, take bool) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.limited {
		return 0
	}
	now := time.Now()
	r := l.bucketOf(source).ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > 0 || !take {
		r.CancelAt(now)
	}
	return wait
}

// bucketOf returns the bucket of source, and marks it as the latest used.
func (l *Limiter) bucketOf(source Source) *rate.Limiter {
	if e := l.bySource[source]; e != nil {
		l.recent.MoveToFront(e)
		return e.Value.(*bucket).tokens
	}
	if len(l.bySource) >= maxSources {
		oldest := l.recent.Back()
		delete(l.bySource, l.recent.Remove(oldest).(*bucket).source)
	}
	b := &bucket{source: source, tokens: rate.NewLimiter(l.limit, l.burst)}
	l.bySource[source] = l.recent.PushFront(b)
	return b.tokens
}

// Seconds returns d in whole seconds, rounded up, so that a client that waits for that long is
// not too early.
func Seconds(d time.Duration) int {
	return int((d + time.Second - 1) / time.Second)
}
