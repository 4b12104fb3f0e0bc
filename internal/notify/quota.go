package notify

import (
	"slices"
	"time"

	"nightporter/internal/journal"
)

// span is the period of a rate.
const span = time.Hour

// quota decides when an event gets a message, so that no kind of event silences another. Half of
// the rate is for failed wakes, which also get what the others do not use; the other half is for
// the other kinds, in equal parts. One machine has at most a quarter of the messages about failed
// wakes. Each share is one message at least. An hour has no more messages than the rate, except
// that each kind gets one message also when the rate is used up.
type quota struct {
	rate  int
	kinds []journal.Kind // that are sent
	sent  []sentMessage  // within the last hour, oldest first
}

// sentMessage is a message about an event.
type sentMessage struct {
	at          time.Time
	kind        journal.Kind
	machine, by string
}

// take reports whether a message about e may be sent now, and counts it.
func (q *quota) take(now time.Time, e journal.Event) bool {
	q.expire(now)
	if !q.allows(e) {
		return false
	}
	q.sent = append(q.sent, sentMessage{at: now, kind: e.Kind, machine: e.Machine, by: e.By})
	return true
}

func (q *quota) expire(now time.Time) {
	for len(q.sent) > 0 && now.Sub(q.sent[0].at) >= span {
		q.sent = q.sent[1:]
	}
}

// nextFree returns when the quota may next allow a message that it refused.
func (q *quota) nextFree() time.Time {
	if len(q.sent) == 0 {
		return time.Time{}
	}
	return q.sent[0].at.Add(span)
}

func (q *quota) allows(e journal.Event) bool {
	kind := func(t sentMessage) bool { return t.kind == e.Kind }
	n := q.count(kind)
	if n >= q.share(e.Kind) {
		return false
	}
	if e.Kind != journal.Failed && n > 0 && len(q.sent) >= q.rate { // failed wakes have used this share
		return false
	}
	switch e.Kind {
	case journal.Failed:
		return q.count(func(t sentMessage) bool { return kind(t) && t.machine == e.Machine }) < max(q.rate/4, 1)
	case journal.Conflict: // conflicts with one host, or of one machine, share one message
		return q.count(func(t sentMessage) bool { return kind(t) && (t.machine == e.Machine || t.by == e.By) }) == 0
	}
	return true
}

// share returns how many messages an hour may have about a kind of event.
func (q *quota) share(kind journal.Kind) int {
	if kind == journal.Failed {
		others := q.count(func(t sentMessage) bool { return t.kind != kind })
		return max((q.rate+1)/2, q.rate-others)
	}
	rate, parts := q.rate, len(q.kinds)
	if slices.Contains(q.kinds, journal.Failed) {
		rate, parts = rate/2, parts-1
	}
	return max(rate/max(parts, 1), 1)
}

func (q *quota) count(of func(sentMessage) bool) (n int) {
	for _, t := range q.sent {
		if of(t) {
			n++
		}
	}
	return n
}
