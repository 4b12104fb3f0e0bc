package web

import (
	"time"

	"nightporter/internal/machine"
)

// told is what other parts of the program tell of a machine for its details.
type told struct {
	Why     []whyLine
	Strip   []stripDay
	Clients []clientWakes
	Pause   *pauseCell // nil: it cannot be paused
}

// toldOf returns what is told of a machine.
func (p *page) toldOf(*machine.Status, time.Time) told { return told{} }

// whyLine says one thing about why a machine is as it is.
type whyLine struct{ Topic, Text, Hint string }

// stripDay is how a machine spent a day, in hours of that day.
type stripDay struct {
	Date  string
	Spans []stripSpan
	Wakes []float64
}

// stripSpan is a part of a day in one state.
type stripSpan struct {
	From, To float64
	State    string
}

// clientWakes is how often one client woke a machine in the last week.
type clientWakes struct {
	Client  string
	Wakes   int
	Last    time.Time
	Service string
}
