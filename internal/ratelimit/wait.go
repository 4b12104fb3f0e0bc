package ratelimit

import "time"

// Wait returns how long source has to wait for its next event, and takes none: for
// what is to be counted only once it is known how it ended.
func (l *Limiter) Wait(source Source) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.limited {
		return 0
	}
	now := time.Now()
	r := l.bucketOf(source).ReserveN(now, 1)
	defer r.CancelAt(now)
	return r.DelayFrom(now)
}
