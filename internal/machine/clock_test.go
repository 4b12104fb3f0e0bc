package machine_test

import (
	"testing"
	"time"

	"nightporter/internal/hosttest"
	"nightporter/internal/machine"
)

const years = 50 * 365 * 24 * time.Hour

func TestOnClock(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name  string
		t     time.Time
		since time.Duration // by the clock on the wall, after OnClock
	}{
		{"never set", now.Add(-time.Hour), time.Hour},
		{"set forwards", hosttest.Set(now.Add(-time.Hour), -years), time.Hour},
		{"set back", hosttest.Set(now.Add(-time.Hour), years), time.Hour},
		{"no monotonic reading", now.Add(-years).Round(0), years},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := machine.OnClock(c.t, now)
			if since := now.Round(0).Sub(got.Round(0)); since != c.since {
				t.Errorf("%v ago, want %v", since, c.since)
			}
			if got.Sub(c.t) != 0 {
				t.Errorf("moved by %v on the monotonic clock", got.Sub(c.t))
			}
		})
	}
	if got := machine.OnClock(time.Time{}, now); !got.IsZero() {
		t.Errorf("no time became %v", got)
	}
	// A clock that is steered a little shows the same moment again and again.
	if at := now.Add(-time.Hour); machine.OnClock(at, now) != at {
		t.Error("a time changed although the clock was not set")
	}
}

// TestFaultClockSet: a clock that is set by years while the porter works changes
// neither what a machine does nor what is counted.
func TestFaultClockSet(t *testing.T) {
	for _, by := range []time.Duration{years, -years} {
		l := newLife(t, nil)
		l.now = time.Now()
		l.event(registered)
		l.now = hosttest.Set(l.now, by) // while it settles
		l.pass(2900 * time.Millisecond).want(machine.Settling).pass(200 * time.Millisecond).want(machine.Asleep)
		l.now = hosttest.Set(l.now, by/2) // while it sleeps
		l.pass(time.Hour)
		status := l.m.Status()
		if got := status.Slept(l.now); got < time.Hour || got > time.Hour+time.Second {
			t.Errorf("set by %v it has slept %v", by, got)
		}
		l.now = hosttest.Set(l.now, -by) // and has to be awaited
		l.event(machine.WakeRequested{Trigger: machine.ByAPI}).want(machine.Waking)
		l.now = hosttest.Set(l.now, by/4)
		l.pass(time.Second).want(machine.Waking)
		if got := l.m.Status().Tally.Slept; got < time.Hour || got > time.Hour+time.Second {
			t.Errorf("set by %v it has slept %v in the end", by, got)
		}
	}
}

// TestFaultMemoryOfTheFuture: what a journal says of years to come is not believed.
func TestFaultMemoryOfTheFuture(t *testing.T) {
	l := asleep(t, nil)
	mem := l.m.Memory()
	mem.Since, mem.Registered, mem.LastWake.At = l.now.Add(years), l.now.Add(years), l.now.Add(years)
	l.m = machine.Restore(mem, policy(), l.now.Add(years), l.now)
	l.forget().pass(time.Second).want(machine.Asleep)
	if status := l.m.Status(); status.Slept(l.now) < 0 || status.Slept(l.now) > time.Second || status.LastWake.At.After(l.now) {
		t.Errorf("slept %v, woken %v", status.Slept(l.now), status.LastWake.At)
	}
	// Started externally it is probed until probe.timeout, and not for years.
	p := policy()
	unwatched(&p)
	l.event(machine.PolicyChanged{Policy: p}, uses(ip4)).up(4 * time.Second).want(machine.Awake)
	if l.up(p.ProbeTimeout + 20*time.Second); !l.m.Next().IsZero() {
		t.Error("an awake machine is still asked")
	}
}
