package metrics

import (
	"sync"
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

// marks are the marks of all machines. The zero value is ready for use.
type marks struct {
	mu     sync.Mutex
	byName map[string]mark
}

// raise lifts the marks to what is true now and returns those of the machines,
// in their order. The marks of machines that are no more go.
func (r *marks) raise(machines []machine.Status, now time.Time) []mark {
	r.mu.Lock()
	defer r.mu.Unlock()
	raised := make([]mark, len(machines))
	next := make(map[string]mark, len(machines))
	for i := range machines {
		s := &machines[i]
		m := r.byName[s.Name]
		m.slept = max(m.slept, s.Slept(now))
		m.joules = max(m.joules, s.SavedJoules(now))
		m.packets = most(m.packets, s.Packets)
		raised[i], next[s.Name] = m, m
	}
	r.byName = next
	return raised
}

// most returns the larger of each count.
func most(a, b machine.Packets) machine.Packets {
	return machine.Packets{
		Held:     max(a.Held, b.Held),
		Replayed: max(a.Replayed, b.Replayed),
		Dropped:  max(a.Dropped, b.Dropped),
	}
}

func (r *marks) forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byName, name)
}
