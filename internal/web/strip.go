package web

import (
	"cmp"
	"slices"
	"time"

	"nightporter/internal/journal"
)

// stripDay is one day of a machine as the page draws it. Its times are hours of the
// day as a clock on the wall shows them, from 0 to 24.
type stripDay struct {
	Date  string // 2026-11-22
	Spans []stripSpan
	Wakes []float64
}

// stripSpan is a part of a day in which the machine was in one state: "awake",
// "asleep", "waking" or "unknown". Where nothing is known of the machine there is none.
type stripSpan struct {
	From, To float64
	State    string
}

// clientWakes is how often one client woke a machine in the last week.
type clientWakes struct {
	Client  string // an address, or who else asked; empty: not known
	Wakes   int
	Last    time.Time
	Service string // of the last wake; empty: it was no knock
}

// stripDays returns days as strips, in the time zone of that place.
func stripDays(days []journal.DayHistory, loc *time.Location) []stripDay {
	strips := make([]stripDay, len(days))
	for i := range days {
		strips[i] = stripOf(&days[i], loc)
	}
	return strips
}

// stripOf draws one day. The hour that a clock shows twice where summer time ends is
// drawn once, up to the latest time that was drawn already.
func stripOf(d *journal.DayHistory, loc *time.Location) stripDay {
	strip := stripDay{Date: d.Date}
	drawn := 0.0
	for _, s := range d.Spans {
		from, to := max(drawn, hourOf(s.From.In(loc), d)), hourOf(s.To.In(loc), d)
		if to > from {
			strip.Spans = append(strip.Spans, stripSpan{From: from, To: to, State: s.Phase.String()})
			drawn = to
		}
	}
	for _, w := range d.Wakes {
		strip.Wakes = append(strip.Wakes, hourOf(w.At.In(loc), d))
	}
	return strip
}

// hourOf returns which hour of the day a clock shows at t.
func hourOf(t time.Time, d *journal.DayHistory) float64 {
	if !t.Before(d.To) {
		return 24
	}
	h, m, s := t.Clock()
	return float64(h) + float64(m)/60 + float64(s)/3600
}

// wakesByClient returns who woke a machine in these days: most wakes first, then the
// latest.
func wakesByClient(days []journal.DayHistory) []clientWakes {
	var clients []clientWakes
	for i := range days {
		for _, w := range days[i].Wakes {
			i := slices.IndexFunc(clients, func(c clientWakes) bool { return c.Client == w.Client })
			if i < 0 {
				i = len(clients)
				clients = append(clients, clientWakes{Client: w.Client})
			}
			clients[i].Wakes++
			clients[i].Last, clients[i].Service = w.At, w.Service
		}
	}
	slices.SortFunc(clients, func(a, b clientWakes) int {
		return cmp.Or(cmp.Compare(b.Wakes, a.Wakes), b.Last.Compare(a.Last), cmp.Compare(a.Client, b.Client))
	})
	return clients
}
