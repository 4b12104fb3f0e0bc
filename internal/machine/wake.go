package machine

import (
	"slices"
	"time"
)

// wake is one wake from its reason to its end.
type wake struct {
	began     WakeBegan
	services  []Service // that the wake waits for
	knocked   []Service // services that clients knocked at
	ready     []Service // services that are ready since the arrival
	requested bool      // a requester waits
	attempts  int       // rounds of magic packets begun
	retries   retries   // of the clients

	firstMagic time.Time
	nextMagic  time.Time
	arrived    time.Time // first proof of life of the present arrival
	notBefore  time.Time // it does not fail before
	flapped    bool      // the machine had arrived before, and lost its network again
}

// add records a further knock, and reports whether it is at a new service.
func (w *wake) add(now time.Time, s Service) bool {
	w.retries.note(now)
	if !slices.Contains(w.knocked, s) {
		w.knocked = append(w.knocked, s)
	}
	return w.wait([]Service{s})
}

// wait makes the wake wait for services, and reports whether one is new.
func (w *wake) wait(services []Service) (more bool) {
	for _, s := range services {
		if !slices.Contains(w.services, s) {
			w.services, more = append(w.services, s), true
		}
	}
	return more
}

// join adds a further request to the wake, and reports whether it waits for more
// services.
func (w *wake) join(request wake) bool {
	w.requested = true
	return w.wait(request.services)
}

// counts reports whether a wake is counted: it is not a test. nil counts.
func (w *wake) counts() bool { return w == nil || !w.began.Test }

// wanted reports whether the wake lasts until wake.timeout: a client retries, or a
// requester waits.
func (w *wake) wanted(now time.Time) bool { return w.requested || w.retries.going(now) }

// retries are the times of the knocks of the clients that wait.
type retries struct {
	first, last time.Time
}

// A client repeats a SYN after at most twice the time that it has waited (RFC 6298
// section 5.5), and rarely after more than a minute.
const (
	leastPatience = 4 * time.Second
	mostPatience  = 100 * time.Second
)

// note records a knock.
func (t *retries) note(now time.Time) {
	if t.first.IsZero() {
		t.first = now
	}
	t.last = now
}

// going reports whether a client that has retried may do so again.
func (t retries) going(now time.Time) bool { return now.Before(t.over()) }

// over returns when such a client counts as gone, or the zero time if none has
// retried.
func (t retries) over() time.Time {
	pause := t.last.Sub(t.first) * 3 / 2
	if pause <= 0 {
		return time.Time{}
	}
	return t.last.Add(min(max(pause, leastPatience), mostPatience))
}
