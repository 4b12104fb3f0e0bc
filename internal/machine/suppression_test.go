package machine_test

import (
	"testing"
	"time"

	"nightporter/internal/machine"
)

// A machine rests until it is wanted, and then no more before its next sleep. Neither a wake that fails nor a restart begins a new sleep.
func TestRests(t *testing.T) {
	settling := func() *life { return newLife(t, nil).event(registered) }
	resumed := func() *life {
		l := asleep(t, nil).pass(time.Hour)
		l.m = machine.Restore(l.m.Memory(), policy(), l.now, l.now.Add(time.Hour))
		l.now = l.now.Add(time.Hour)
		return l
	}
	for _, c := range []struct {
		name  string
		life  *life
		rests bool
		fell  time.Duration // asleep, since it registered; 0: never
	}{
		{"awake", newLife(t, nil), false, 0},
		{"settling", settling(), true, 0},
		{"settling, and knocked at", settling().event(knockSSH), false, 0},
		{"settling, and a wake asked for", settling().event(machine.WakeRequested{Trigger: machine.ByAPI}), false, 0},
		{"asleep", asleep(t, nil).pass(time.Minute), true, 3 * time.Second},
		{"settling after a frame while asleep", asleep(t, nil).event(frame).want(machine.Settling), true, 0},
		{"waking", waking(t, nil), false, 0},
		{"arriving", arriving(t, nil), false, 0},
		{"asleep after a wake that failed", waking(t, nil).pass(time.Minute).want(machine.Asleep), true, 3 * time.Second},
		{"settling after a restart", resumed(), true, 3 * time.Second},
		{"asleep after a restart", resumed().pass(time.Minute).want(machine.Asleep), true, 3 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			var want time.Time
			if c.fell > 0 {
				want = newLife(t, nil).now.Add(c.fell)
			}
			fell, rests := c.life.m.AtRest()
			if rests != c.rests || !fell.Equal(want) {
				t.Errorf("rests: %t, fell asleep %v; want %t, %v", rests, fell, c.rests, want)
			}
		})
	}
}
