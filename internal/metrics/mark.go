package metrics

import (
	"time"

	"nightporter/internal/machine"
)

// mark is the highest exported value of each counter of a machine.
//
// While a machine sleeps its totals are computed from the clock, and could fall:
// the clock is set back, a knock's kernel time lies before a scrape that saw the
// machine asleep, or the machine registers less power in its sleep. Prometheus
// takes a counter that falls for one that restarted at 0, and would count all of
// it again. So the totals stand still until they have caught up.
//
// Packets are counted beside the loop that owns the machines. However a status
// came by its counts, what was shown stands.
type mark struct {
	slept   time.Duration
	joules  float64
	packets machine.Packets
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
		m.packets = most(m.packets, s.Packets)
		marks[i], next[s.Name] = m, m
	}
	f.marks = next
	return marks
}

// most returns the larger of each count.
func most(a, b machine.Packets) machine.Packets {
	return machine.Packets{
		Held:     max(a.Held, b.Held),
		Replayed: max(a.Replayed, b.Replayed),
		Dropped:  max(a.Dropped, b.Dropped),
	}
}

func (f *facts) forget(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.marks, name)
}
