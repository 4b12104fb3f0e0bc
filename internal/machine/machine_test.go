package machine_test

import (
	"slices"
	"testing"
	"time"

	"nightporter/internal/machine"
)

func TestRegistrationIsWelcomeInEveryState(t *testing.T) {
	goesOn := knockOnSSH
	goesOn.GoesOn = true
	moved := spec()
	moved.Monitor = moved.Monitor[:1]
	for _, start := range []struct {
		state machine.State
		life  func(*testing.T, func(*machine.Policy)) *life
		want  []machine.Action // until it is asleep again
	}{
		{machine.Awake, newLife, []machine.Action{machine.Claim{Addrs: both[:1]}}},
		{machine.Settling, func(t *testing.T, c func(*machine.Policy)) *life {
			return newLife(t, c).event(machine.Registered{Spec: spec()}).pass(2 * time.Second).forget()
		}, []machine.Action{machine.Claim{Addrs: both[:1]}}},
		{machine.Asleep, asleep, []machine.Action{releaseBoth, tellBoth, partBoth, machine.Claim{Addrs: both[:1]}}},
		{machine.Waking, waking, []machine.Action{releaseBoth, tellBoth, partBoth, machine.Claim{Addrs: both[:1]}, goesOn, machine.SendMagic{Attempt: 1}, machine.Hush{Addrs: both[:1]}}},
		{machine.Arriving, arriving, []machine.Action{releaseBoth, tellBoth, partBoth, machine.Claim{Addrs: both[:1]}}},
	} {
		t.Run(start.state.String(), func(t *testing.T) {
			l := start.life(t, nil).want(start.state)
			l.event(machine.Registered{Spec: moved}).want(machine.Settling).pass(3 * time.Second).wantActions(start.want...)
		})
	}
}

func TestConflictLeavesTheAddressToTheOther(t *testing.T) {
	seen := machine.ConflictSeen{Addr: ip4, By: otherMAC}
	l := asleep(t, nil).event(machine.Conflicted{Addr: ip4, By: otherMAC}).want(machine.Asleep).
		wantActions(seen, machine.Release{Addrs: both[:1]}, machine.Part{Addrs: both[:1]})
	l.event(machine.Conflicted{Addr: ip4, By: otherMAC}).wantActions() // told once
	l.event(machine.Heard{Addr: ip6}).wantActions(machine.Release{Addrs: both[1:]})
	l.pass(4 * time.Second).want(machine.Asleep).wantActions(machine.Claim{Addrs: both[1:]})
	l.event(machine.Registered{Spec: spec()}).forget().pass(3 * time.Second).wantActions(machine.Claim{Addrs: both})
	if got := l.m.Status().Tally.Conflicts; got != 1 {
		t.Errorf("%d conflicts, want 1", got)
	}

	// Found before the claim, the address is never taken.
	newLife(t, nil).event(machine.Registered{Spec: spec()}).event(machine.Conflicted{Addr: ip4, By: otherMAC}).
		pass(3*time.Second).wantActions(seen, machine.Hush{Addrs: both[:1]}, machine.Claim{Addrs: both[1:]})
	// An address that is not the machine's, or a machine that is up, is none of our business.
	asleep(t, nil).event(machine.Conflicted{Addr: client.Addr(), By: otherMAC}).wantActions()
	newLife(t, nil).event(machine.Conflicted{Addr: ip4, By: otherMAC}).wantActions()
}

// TestConcededAddressIsLeftAlone: it is neither announced for the machine, nor
// is the machine looked for there.
func TestConcededAddressIsLeftAlone(t *testing.T) {
	asleep(t, nil).event(machine.Heard{}).event(machine.Conflicted{Addr: ip6, By: otherMAC}).forget().
		event(machine.Heard{Addr: ip6, InUse: true}).wantActions()

	l := waking(t, nil).event(machine.Conflicted{Addr: ip4, By: otherMAC}).forget().pass(time.Second)
	for _, a := range l.log {
		if p, ok := a.(machine.Probe); ok && !slices.Contains(p.Addrs, ip6) {
			t.Fatalf("asks only for %v", p.Addrs)
		}
	}
	arriving(t, nil).event(machine.Conflicted{Addr: ip4, By: otherMAC}).
		wantActions(machine.ConflictSeen{Addr: ip4, By: otherMAC}, machine.Release{Addrs: both[:1]}, machine.Part{Addrs: both[:1]}, machine.HandOver{})
}

// TestWakeAskedForInTheVigil is kept until the machine is surely off.
func TestWakeAskedForInTheVigil(t *testing.T) {
	l := asleep(t, nil)
	for range 4 {
		l.event(machine.Heard{Addr: ip4, InUse: true}).pass(time.Second)
	}
	l.want(machine.Awake).forget().event(machine.WakeAsked{Trigger: machine.ByAPI, By: "test"}).
		wantActions(machine.SendMagic{Attempt: 1}).pass(20 * time.Second).want(machine.Waking)
}

func TestStopReleases(t *testing.T) {
	asleep(t, nil).event(machine.Stopped{}).wantActions(releaseBoth, tellBoth, partBoth)
	asleep(t, nil).event(machine.Stopped{Wake: true}).wantActions(releaseBoth, tellBoth, partBoth, machine.SendMagic{Attempt: 1})
	waking(t, nil).event(machine.Stopped{Wake: true}).wantActions(releaseBoth, tellBoth, partBoth, machine.SendMagic{Attempt: 1})
	newLife(t, nil).event(machine.Registered{Spec: spec()}).event(machine.Stopped{Wake: true}).
		wantActions(machine.SendMagic{Attempt: 1})
	arriving(t, nil).event(machine.Stopped{}).wantActions(releaseBoth, partBoth)
	arriving(t, nil).event(machine.Heard{Addr: ip6, InUse: true}).event(machine.Stopped{}).
		wantActions(releaseBoth, machine.Announce{Addrs: both[1:]}, partBoth)
	newLife(t, nil).event(machine.Stopped{Wake: true}).wantActions()
}

func TestPolicyChangeTakesEffectWithoutAMove(t *testing.T) {
	p := policy()
	p.WakeAttempts = 1
	l := waking(t, nil).event(machine.PolicyChanged{Policy: p}).want(machine.Waking).wantActions()
	l.pass(15 * time.Second).want(machine.Asleep).wantActions(machine.WakeFailed{Trigger: machine.ByTCP, Attempts: 1})
}

func TestEarlyTicksDoNothing(t *testing.T) {
	l := newLife(t, nil).event(machine.Registered{Spec: spec()}).event(machine.Ticked{}).forget()
	for range 10 {
		l.event(machine.Ticked{})
	}
	if len(l.log) != 0 {
		t.Errorf("early ticks led to %v", l.log)
	}
}

func TestStatusCountsThePresentSleep(t *testing.T) {
	l := asleep(t, nil).pass(time.Hour)
	s := l.m.Status()
	if got := s.Slept(l.now); got != time.Hour {
		t.Errorf("slept %v, want 1h", got)
	}
	if got := s.SavedJoules(l.now); got != 180_000 {
		t.Errorf("saved %v J, want 180000", got)
	}
}
