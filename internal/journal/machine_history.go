package journal

import (
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

// MachineHistory is the last days of one machine, on the present clock.
type MachineHistory struct {
	Spans []Span // oldest first, without gaps; the last one ends now
	Wakes []Wake // oldest first
	More  int    // number of older wakes that are not listed
}

// Span is a time in which a machine was in one phase.
type Span struct {
	From, To time.Time
	Phase    Phase
}

// Wake is one wake of a machine.
type Wake struct {
	At      time.Time // when it began
	Trigger machine.Trigger
	Client  string // address of the client, or another requester; empty: not known
	Service string // destination of the knock; empty: it was no knock
	Outcome machine.Outcome
}

// DayHistory is the history of a machine on one day.
type DayHistory struct {
	machine.DayBounds
	Spans []Span
	Wakes []Wake
}

// History returns the last days of a machine.
func (j *Journal) History(mac ether.MAC) MachineHistory {
	j.mu.Lock()
	t := j.state.timelines.copy(mac)
	j.mu.Unlock()
	if t == nil {
		return MachineHistory{}
	}
	return t.history(j.state.base, time.Now())
}

// history returns the timeline as a MachineHistory. Base is that of the timeline.
func (t *timeline) history(base, now time.Time) MachineHistory {
	end := now.Sub(base)
	t.dropBefore(end - kept)
	when := func(at time.Duration) time.Time { return now.Add(min(at, end) - end) }
	h := MachineHistory{Spans: t.spans(end, when)}
	for _, w := range t.wakes {
		h.Wakes = append(h.Wakes, Wake{At: when(w.at), Trigger: w.trigger, Client: w.client.Value(), Service: w.service.Value(), Outcome: w.outcome})
	}
	for _, m := range t.more {
		h.More += m.wakes
	}
	return h
}

// spans returns the steps as spans, without those that are empty.
func (t *timeline) spans(end time.Duration, when func(time.Duration) time.Time) []Span {
	var spans []Span
	for i, s := range t.steps {
		from, to := max(s.at(), end-kept), end
		if i+1 < len(t.steps) {
			to = t.steps[i+1].at()
		}
		switch n := len(spans); {
		case to <= from:
		case n > 0 && spans[n-1].Phase == s.phase():
			spans[n-1].To = when(to)
		default:
			spans = append(spans, Span{From: when(from), To: when(to), Phase: s.phase()})
		}
	}
	return spans
}

// Days splits the history into the last days on the calendar of now, oldest first. The
// last one is the day of now.
func (h *MachineHistory) Days(now time.Time) (days [machine.Week]DayHistory) {
	for i, bounds := range machine.LastDays(now) {
		d := DayHistory{DayBounds: bounds}
		for _, s := range h.Spans {
			if s.From.Before(d.From) {
				s.From = d.From
			}
			if s.To.After(d.To) {
				s.To = d.To
			}
			if s.From.Before(s.To) {
				d.Spans = append(d.Spans, s)
			}
		}
		for _, w := range h.Wakes {
			if !w.At.Before(d.From) && w.At.Before(d.To) {
				d.Wakes = append(d.Wakes, w)
			}
		}
		days[i] = d
	}
	return days
}
