package porter

import (
	"slices"
	"testing"
	"time"

	"nightporter/internal/config"
	"nightporter/internal/ether"
	"nightporter/internal/fastpath"
	"nightporter/internal/hosttest"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
)

// Nothing of a machine that is forgotten stays.
func TestForget(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		x.announced(nas4)
		x.dispatch(e, machine.Stopped{})
		x.forget(e, "test")
		x.publish()
		x.wantNames()
		x.unwatched()
		if x.answers(nas4) || x.answers(nas6) {
			t.Error("answered for after it was forgotten")
		}
		if owners := x.announced(nas4); !slices.Equal(owners, []ether.MAC{nasMAC}) {
			t.Errorf("announced at %v", owners)
		}
		if next := x.timers.Next(); !next.IsZero() {
			t.Errorf("something is due in %v", time.Until(next))
		}
		if n := x.series("nightporter_machine_ready_duration_seconds", "nas"); n != 0 {
			t.Errorf("%d series of a machine that was forgotten", n)
		}
		// A frame that was on its way moves nothing.
		x.handleSighting(fastpath.Sighting{Kind: fastpath.SawFrame, Target: e.target})
		// The name and the addresses are free.
		taken := named(tv(), "nas")
		taken.Monitor = nas().Monitor
		x.asleep(taken)
	})
}

// The configuration brings it back.
func TestForgetConfigured(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.register(nas())
		x.configured(named(nas(), "tower"))
		x.forget(e, "test")
		x.wantNames("tower")
		if back := x.machine(nas()); back == e || back.nic != nil || back.State() != machine.Awake {
			t.Errorf("it came back as %v", back.Status())
		}
		if n := x.series("nightporter_machine_ready_duration_seconds", "tower"); n != 1 {
			t.Errorf("%d series of the machine that came back", n)
		}
		x.configured()
		x.wantNames()
	})
}

// ... to be watched, where it does not register.
func TestForgetWatched(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.configured(agentless())
		x.pass(time.Minute)
		old := x.machine(nas())
		x.want(old, machine.Asleep, nas4, nas6)
		x.announced(nas4)
		x.dispatch(old, machine.Stopped{})
		x.forget(old, "test")
		x.publish()
		e := x.machine(nas())
		x.want(e, machine.Awake)
		if owners := x.announced(nas4); e == old || !slices.Equal(owners, []ether.MAC{nasMAC}) {
			t.Errorf("announced at %v", owners)
		}
		x.pass(time.Minute)
		x.want(e, machine.Asleep, nas4, nas6)
	})
}

// Without wake.keep a machine whose wake fails is dropped, or falls back to what
// the configuration says of it. Nothing is due for it then.
func TestFailedWake(t *testing.T) {
	for _, c := range []struct {
		name       string
		keep       bool
		configured []machine.Spec
		then       func(*fixture)
	}{
		{"kept", true, nil, func(x *fixture) {
			e := x.machine(nas())
			x.want(e, machine.Asleep, nas4, nas6)
			if s := e.Status(); s.LastWake.Attempts != 2 || s.Tally.Failures[machine.ByTCP] != 1 {
				x.Errorf("%d attempts, %v failures", s.LastWake.Attempts, s.Tally.Failures)
			}
		}},
		{"not kept", false, nil, func(x *fixture) {
			x.wantNames()
			x.unwatched()
			if next := x.timers.Next(); !next.IsZero() {
				x.Errorf("something is due in %v", time.Until(next))
			}
		}},
		{"not kept but configured", false, []machine.Spec{named(nas(), "tower")}, func(x *fixture) {
			x.wantNames("tower")
			x.unwatched()
		}},
		{"not kept, and does not register", false, []machine.Spec{agentless()}, func(x *fixture) {
			e := x.machine(nas())
			x.pass(3 * time.Second)
			if e.State() == machine.Asleep {
				x.Error("claimed again at once")
			}
			x.pass(time.Minute)
			x.want(e, machine.Asleep, nas4, nas6)
			x.hear(syn(nas4, 22))
			x.want(e, machine.Waking, nas4, nas6)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			withLoop(t, func(conf *config.Config) {
				conf.Wake.Attempts, conf.Wake.Interval, conf.Wake.Keep = 2, time.Second, c.keep
			}, func(x *fixture) {
				x.configured(c.configured...)
				if x.machine(nas()) == nil || !x.machine(nas()).managed() {
					x.asleep(nas())
				}
				x.pass(time.Minute)
				x.hear(syn(nas4, 22))
				x.pass(2100 * time.Millisecond)
				c.then(x)
			})
		})
	}
}

// What happened before a host without a clock of its own has asked for the time is
// shown, and remembered, at its true time.
func TestFaultClockSetAfterTheStart(t *testing.T) {
	x := newFixture(t, nil)
	now := time.Now()
	past := hosttest.Set(now.Add(-time.Hour), -50*365*24*time.Hour)
	mem := machine.Memory{Spec: nas(), State: machine.Asleep, Since: past, Registered: past, LastWake: machine.LastWake{At: past.Add(-time.Minute)}}
	e := x.insert(machine.Restore(mem, x.policy(), past, past))
	for e.State() != machine.Asleep {
		e.Handle(e.Next(), machine.Ticked{})
	}
	s := e.shown(now)
	if ago := now.Round(0).Sub(s.Since.Round(0)); ago != time.Hour {
		t.Errorf("asleep since %v, want an hour before %v", s.Since, now)
	}
	if ago := now.Round(0).Sub(s.LastWake.At.Round(0)); ago != time.Hour+time.Minute {
		t.Errorf("woken %v, want an hour and a minute before %v", s.LastWake.At, now)
	}
	if got := s.Slept(now); got != time.Hour {
		t.Errorf("slept %v, want an hour", got)
	}
	dir := t.TempDir()
	for range 2 { // once by memory, once by what the file says
		j, _, err := journal.Open(dir, discard)
		if err != nil {
			t.Fatal(err)
		}
		mem := e.Memory()
		j.Append(journal.Record{Memory: &mem})
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		j, told, err := journal.Open(dir, discard)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if ago := time.Since(told.Machines[0].Since); (ago - time.Hour).Abs() > 10*time.Second {
			t.Errorf("the journal says asleep for %v, want an hour", ago)
		}
		e.Machine = machine.Restore(told.Machines[0], x.policy(), told.Until, time.Now())
	}
}
