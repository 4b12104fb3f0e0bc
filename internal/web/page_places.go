package web

import (
	"time"

	"nightporter/internal/machine"
)

// What other parts of the program tell of a machine. Each returns nothing as long as
// nothing is known.

// whyLine is one line of why a machine is in its state.
type whyLine struct{ Topic, Text, Hint string }

func whyOf(*machine.Status, time.Time) []whyLine { return nil }

// stripDay is how a machine spent a day, in hours of that day.
type stripDay struct {
	Date  string
	Spans []stripSpan
	Wakes []float64
}

// stripSpan is a time in one state.
type stripSpan struct {
	From, To float64
	State    string
}

func stripOf(*machine.Status, time.Time) []stripRow { return stripRows(nil) }

// pauseCell says whether a machine is left alone for a while.
type pauseCell struct{ Until *moment } // nil: it is not

func pauseOf(*machine.Status, time.Time) *pauseCell { return nil }

func clientsOf(*machine.Status, time.Time) []clientLine { return nil }
