package porter

import (
	"testing"
	"time"

	"nightporter/internal/clocktest"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
)

const years = 50 * 365 * 24 * time.Hour

// TestFaultClockSetAfterTheStart: what happened before a host without a clock of
// its own has asked for the time is shown, and remembered, at its true time.
func TestFaultClockSetAfterTheStart(t *testing.T) {
	p, _ := vacant(t, nil)
	now := time.Now()
	past := clocktest.Set(now.Add(-time.Hour), -years)
	mem := machine.Memory{Spec: nas(), State: machine.Asleep, Since: past, LastWake: machine.LastWake{At: past.Add(-time.Minute)}}
	r := p.insert(machine.Resume(mem, p.policy(), past, past))
	for r.State() != machine.Asleep {
		r.Handle(r.Next(), machine.Ticked{})
	}
	s := r.shown(now)
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
		mem := r.Memory()
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
		r.Machine = machine.Resume(told.Machines[0], p.policy(), told.Until, time.Now())
	}
}

// TestFaultClockSetDuringAKnock: the time between the kernel's clock and ours is no
// latency then.
func TestFaultClockSetDuringAKnock(t *testing.T) {
	overnight(t, nil, func(h *night) {
		r := h.asleep(nas())
		knock := syn(nas4, 22)
		knock.Time = time.Now().Add(-years)
		h.frame(knock)
		h.want(r, machine.Waking, nas4, nas6)
		if n, sum := observations(t, h.reg, "nightporter_wake_latency_seconds"); n != 0 {
			t.Errorf("%d wake latencies of %v s, want none", n, sum)
		}
	})
}
