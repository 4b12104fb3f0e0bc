package machine_test

import (
	"testing"
	"time"

	"nightporter/internal/machine"
)

// woken is a life whose machine was woken a moment ago, and uses its addresses.
func woken(t *testing.T) *life {
	t.Helper()
	return arriving(t, nil).event(ready, uses(ip4), uses(ip6)).up(5 * s).want(machine.Awake).forget()
}

// TestFlap: a machine that loses its network a moment after its wake is answered for,
// and nothing is announced. Who comes waits for it, and it is not woken again.
func TestFlap(t *testing.T) {
	l := woken(t).pass(1900*time.Millisecond).want(machine.Settling).reason(machine.Awake, machine.Settling, machine.WhyFlap)
	if got := l.m.Answered(); len(got) != 2 {
		t.Errorf("answers for %v", got)
	}
	if got := actions[machine.Claim](l); len(got) != 1 || !got[0].Quiet {
		t.Errorf("claimed as %+v, want quietly", got)
	}
	if got := actions[machine.Hold](l); got[len(got)-1].Mode != machine.HoldAll {
		t.Errorf("packets: %v", got)
	}
	before := l.tally()
	l.forget().event(knockSSH).pass(5 * s).want(machine.Settling)
	l.event(tests(ip4)).want(machine.Arriving).as(at(ip4), s).event(ready).want(machine.Awake)
	if len(actions[machine.SendMagic](l))+len(actions[machine.WakeEnded](l)) > 0 || l.tally() != before {
		t.Errorf("woken again: %+v\n%s", l.tally(), l.story())
	}
	// No client came.
	woken(t).pass(4 * s).want(machine.Settling).up(s).want(machine.Awake)
	// It was no flap.
	l = woken(t).pass(9 * s).want(machine.Settling).pass(3 * s).want(machine.Asleep)
	if len(actions[machine.SendMagic](l)) > 0 {
		t.Error("woken without a client")
	}
	// A knock in the meantime wakes it then.
	woken(t).pass(4 * s).event(knockSSH).pass(10 * s).want(machine.Waking)
	// Half a minute after the wake nothing of that holds.
	woken(t).up(40 * s).pass(5 * s).want(machine.Awake)
}

// TestNoFlap: the machine was heard and not asked since, or tests an address while it
// answers at another one.
func TestNoFlap(t *testing.T) {
	l := woken(t)
	for range 10 {
		l.event(uses(ip4)).pass(200 * time.Millisecond)
	}
	l.want(machine.Awake)
	l = woken(t)
	for range 3 {
		l.event(tests(ip4)).up(100 * time.Millisecond).pass(1900 * time.Millisecond).want(machine.Awake)
	}
}
