package machine

import (
	"slices"
	"time"
)

// wake is one wake from its reason to its end.
type wake struct {
	began     WakeBegan
	services  []Service // that are waited for
	knocked   []Service // of these, those that clients knocked at
	ready     []Service // since it arrived: those that can take clients
	requested bool      // its requester waits, as a client that tries does
	attempts  int       // rounds of magic packets begun
	retries   retries   // of the clients

	firstMagic time.Time
	nextMagic  time.Time
	arrived    time.Time // its last first proof of life
	notBefore  time.Time // it does not fail before
	flapped    bool      // its machine had arrived before, and lost its network again
}

// add notes a further knock, and reports whether it is at a new service.
func (w *wake) add(now time.Time, s Service) bool {
	w.retries.note(now)
	if !slices.Contains(w.knocked, s) {
		w.knocked = append(w.knocked, s)
	}
	return w.wait([]Service{s})
}

// wait has the wake wait for services, and reports whether one is new.
func (w *wake) wait(services []Service) (more bool) {
	for _, s := range services {
		if !slices.Contains(w.services, s) {
			w.services, more = append(w.services, s), true
		}
	}
	return more
}

// join has a wake wait for what a further request wants, and reports whether that is more.
func (w *wake) join(request wake) bool {
	w.requested = true
	return w.wait(request.services)
}

// counts reports whether a wake counts, or what happens without any.
func (w *wake) counts() bool { return w == nil || !w.began.Test }

// wanted reports whether a wake goes on until wake.timeout: a client tries, or its
// requester waits.
func (w *wake) wanted(now time.Time) bool { return w.requested || w.retries.going(now) }

// tries tells whether a client still tries.
type retries struct {
	first, last time.Time
}

// A client repeats a SYN after twice the time that it has waited, or sooner (RFC 6298
// section 5.5), and hardly one that it has waited for more than a minute.
const (
	leastPatience = 4 * time.Second
	mostPatience  = 100 * time.Second
)

// note takes in a try.
func (t *retries) note(now time.Time) {
	if t.first.IsZero() {
		t.first = now
	}
	t.last = now
}

// going reports whether a client that has tried again may do so once more.
func (t retries) going(now time.Time) bool { return now.Before(t.over()) }

// over returns when such a client counts as gone, or the zero time where none has tried
// again.
func (t retries) over() time.Time {
	pause := t.last.Sub(t.first) * 3 / 2
	if pause <= 0 {
		return time.Time{}
	}
	return t.last.Add(min(max(pause, leastPatience), mostPatience))
}
