package notify

import (
	"slices"
	"time"

	"nightporter/internal/journal"
)

// span is what a rate is about.
const span = time.Hour

// shares say when an event may be told, so that no hour has more messages than the rate
// and no kind of event silences another one. Half of the rate is for failed wakes, which
// also get what the others do not use; the other half is for the other kinds, in equal
// parts. Of failed wakes one machine has no more than a quarter. Each of these is one
// message at least.
type shares struct {
	rate  int
	kinds []journal.Kind // that are told
	told  []telling      // within the last hour, oldest first
}

// telling is a message about an event.
type telling struct {
	at          time.Time
	kind        journal.Kind
	machine, by string
}

// take reports whether a message about e may go out now, and counts it.
func (s *shares) take(now time.Time, e journal.Event) bool {
	s.expire(now)
	if !s.room(e) {
		return false
	}
	s.told = append(s.told, telling{at: now, kind: e.Kind, machine: e.Machine, by: e.By})
	return true
}

func (s *shares) expire(now time.Time) {
	for len(s.told) > 0 && now.Sub(s.told[0].at) >= span {
		s.told = s.told[1:]
	}
}

// opens returns when there may be room for a message for which there was none.
func (s *shares) opens() time.Time {
	if len(s.told) == 0 {
		return time.Time{}
	}
	return s.told[0].at.Add(span)
}

func (s *shares) room(e journal.Event) bool {
	kind := func(t telling) bool { return t.kind == e.Kind }
	if s.count(kind) >= s.share(e.Kind) {
		return false
	}
	switch e.Kind {
	case journal.Failed:
		return s.count(func(t telling) bool { return kind(t) && t.machine == e.Machine }) < max(s.rate/4, 1)
	case journal.Conflict: // those of one sender, or of one machine, are one message
		return s.count(func(t telling) bool { return kind(t) && (t.machine == e.Machine || t.by == e.By) }) == 0
	}
	return true
}

// share returns how many messages an hour may have about a kind of event.
func (s *shares) share(kind journal.Kind) int {
	if kind == journal.Failed {
		others := s.count(func(t telling) bool { return t.kind != kind })
		return max((s.rate+1)/2, s.rate-others)
	}
	rate, parts := s.rate, len(s.kinds)
	if slices.Contains(s.kinds, journal.Failed) {
		rate, parts = rate/2, parts-1
	}
	return max(rate/max(parts, 1), 1)
}

func (s *shares) count(of func(telling) bool) (n int) {
	for _, t := range s.told {
		if of(t) {
			n++
		}
	}
	return n
}
