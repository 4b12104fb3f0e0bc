// Package ratelimit rations what each source on the network may ask for, in
// bounded memory.
package ratelimit

import (
	"container/list"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxSources bounds the sources that a Limiter remembers, and so its memory: 1
// MiB at most, whoever asks. Beyond it the source that has been quiet for the
// longest gives way. Whoever has more networks than that to ask from (a /48
// holds 65,536 of 64 bits) is not held up by a limit for each source; for him
// there are limits on everybody together.
const maxSources = 2048

// Limiter grants each source a number of events at once, and further ones at a
// steady rate. The zero Limiter grants everything.
type Limiter struct {
	mu       sync.Mutex
	limited  bool
	limit    rate.Limit
	burst    int
	bySource map[Source]*list.Element
	recent   list.List // of *asker, the latest to ask at the front
}

// asker is one source, and what it has left.
type asker struct {
	source Source
	bucket *rate.Limiter
}

// New returns a Limiter with the limits of SetLimit.
func New(limit rate.Limit, burst int) *Limiter {
	l := new(Limiter)
	l.SetLimit(limit, burst)
	return l
}

// PerMinute returns the arguments of New and SetLimit for n events a minute,
// half of them at once; 0 stands for no limit.
func PerMinute(n int) (limit rate.Limit, burst int) {
	if n <= 0 {
		return rate.Inf, 0
	}
	return rate.Every(time.Minute / time.Duration(n)), (n + 1) / 2
}

// SetLimit grants every source burst events at once and limit further ones a
// second; rate.Inf is no limit. Where that is a change, everybody starts anew.
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

// Take takes one event of source and returns 0, or takes nothing and returns how
// long source has to wait for its next one.
func (l *Limiter) Take(source Source) time.Duration { return l.next(source, true) }

// Wait returns how long source has to wait for its next event, and takes none: for
// what is to be counted only once it is known how it ended.
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

// bucketOf finds what source has left, and notes that it asked last.
func (l *Limiter) bucketOf(source Source) *rate.Limiter {
	if e := l.bySource[source]; e != nil {
		l.recent.MoveToFront(e)
		return e.Value.(*asker).bucket
	}
	if len(l.bySource) >= maxSources {
		oldest := l.recent.Back()
		delete(l.bySource, l.recent.Remove(oldest).(*asker).source)
	}
	a := &asker{source: source, bucket: rate.NewLimiter(l.limit, l.burst)}
	l.bySource[source] = l.recent.PushFront(a)
	return a.bucket
}

// Seconds returns d in whole seconds, rounded up: whoever waits for that long is
// not too early.
func Seconds(d time.Duration) int {
	return int((d + time.Second - 1) / time.Second)
}
