package metrics

import (
	"time"

	"nightporter/internal/machine"
)

// mark is the most that was shown of a machine's growing totals.
//
// While a machine sleeps its totals are computed from the clock, and could fall:
// the clock is set back, a knock's kernel time lies before a scrape that saw the
// machine asleep, or the machine registers less power in its sleep. Prometheus
// takes a counter that falls for one that restarted at 0, and would count all of
// it again. So the totals stand still until they have caught up.
type mark struct {
	slept  time.Duration
	joules float64
}

// raise lifts the marks to what is true now and returns those of the machines,
// in their order. The marks of machines that are no more go.
func (f *facts) raise(machines []machine.Status, now time.Time) []mark {
	f.mu.Lock()
	defer f.mu.Unlock()
	marks := make([]mark, len(machines))
	next := make(map[string]mark, len(machines))
	for i := range machines {
		s := &machines[i]
		m := f.marks[s.Name]
		m.slept = max(m.slept, s.Slept(now))
		m.joules = max(m.joules, s.SavedJoules(now))
		marks[i], next[s.Name] = m, m
	}
	f.marks = next
	return marks
}

func (f *facts) forget(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.marks, name)
}
