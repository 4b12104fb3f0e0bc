package machine_test

import (
	"testing"
	"time"

	"nightporter/internal/machine"
)

func TestKnockWakes(t *testing.T) {
	l := asleep(t, nil).pass(time.Hour).event(knockSSH).want(machine.Waking).
		reason(machine.Asleep, machine.Waking, machine.WhyKnock).wantActions(knockOnSSH, firstMagic, quietBoth)
	l.pass(8 * s).event(frame).pass(2 * s).want(machine.Waking).wantActions() // firmware
	l.event(answer(ip4)).want(machine.Arriving).
		reason(machine.Waking, machine.Arriving, machine.WhyArrived).
		wantActions(quietBoth, machine.Yield{Addrs: both}, machine.CheckServices{Services: []machine.Service{ssh}})
	l.as(at(ip4), 500*time.Millisecond).event(ready).want(machine.Awake).
		reason(machine.Arriving, machine.Awake, machine.WhyReady).
		wantActions(releaseBoth, announce4, machine.WakeEnded{Boot: 10 * s, Ready: 10500 * time.Millisecond})
	// Its IPv6 address was still being tested.
	l.as(at(ip4), s).event(uses(ip6)).wantActions(announce6)

	got := l.m.Status()
	if got.Tally.Wakes[machine.ByTCP] != 1 || got.Tally.Attempts != 12 || got.Tally.ExternalStarts != 0 {
		t.Errorf("tally %+v", got.Tally)
	}
	if got.Tally.Slept != time.Hour || got.Tally.SavedJoules != 3600*50 {
		t.Errorf("slept %v, saved %v J; want 1h and 180000 J", got.Tally.Slept, got.Tally.SavedJoules)
	}
}

func TestWakeAskedFor(t *testing.T) {
	began := machine.WakeBegan{Trigger: machine.ByAPI, By: "test"}
	asleep(t, nil).event(wakeAsked).want(machine.Waking).reason(machine.Asleep, machine.Waking, machine.WhyRequested).
		wantActions(began, firstMagic, quietBoth).
		event(wakeAsked).want(machine.Waking).wantActions()

	// While it settles the wish is kept until it is surely off; until then one
	// packet, because a network card can answer for a machine that is.
	newLife(t, nil).event(registered, wakeAsked).wantActions(requested(machine.Settling), firstMagic).
		pass(3*s).want(machine.Waking).wantActions(claimBoth, began, firstMagic, quietBoth)

	newLife(t, nil).event(wakeAsked).want(machine.Awake).wantActions(requested(machine.Awake), firstMagic)
	arriving(t, nil).event(wakeAsked).want(machine.Arriving).wantActions()
}

// TestWakeAskedForAfterAStartByHand is kept until the machine is surely off.
func TestWakeAskedForAfterAStartByHand(t *testing.T) {
	l := asleep(t, nil).event(uses(ip4)).up(5 * s).want(machine.Awake).forget()
	l.event(wakeAsked).wantActions(requested(machine.Awake), firstMagic).pass(20 * s).want(machine.Waking)
}

func TestMagicPacketsAreRepeatedThenTheWakeFails(t *testing.T) {
	l := asleep(t, nil).event(knockGame)
	l.pass(44 * s).want(machine.Waking)
	l.pass(s).want(machine.Asleep).reason(machine.Waking, machine.Asleep, machine.WhyAttemptsGone).wantActions(
		machine.WakeBegan{Trigger: machine.ByUDP, Service: game, Source: client},
		firstMagic, quietBoth, machine.SendMagic{Attempt: 2}, machine.SendMagic{Attempt: 3},
		machine.WakeFailed{Trigger: machine.ByUDP, Attempts: 3}, machine.DropPackets{})
	if got := l.tally(); got.Failures[machine.ByUDP] != 1 || got.Attempts != 16+2 {
		t.Errorf("tally %+v", got)
	}
	// It is still claimed, and the next knock tries again.
	again := knockOnSSH
	again.Repeated = true
	l.event(knockSSH).want(machine.Waking).wantActions(again, machine.SendMagic{Attempt: 1, Repeated: true}, quietBoth)
}

// TestPausesOfAMachineThatDoesNotWake: pinged every 10 s for a
// day, it is tried with growing pauses, told of once, and costs few records.
func TestPausesOfAMachineThatDoesNotWake(t *testing.T) {
	l := asleep(t, nil)
	for range 24 * 360 {
		l.event(knockSSH).pass(10 * s)
	}
	told, again := 0, 0
	for _, f := range actions[machine.WakeFailed](l) {
		if f.Repeated {
			again++
		} else {
			told++
		}
	}
	if told != 1 || again < 23 || again > 40 {
		t.Errorf("%d failed wakes told, %d not", told, again)
	}
	if n := len(actions[machine.Persist](l)); n >= 100 {
		t.Errorf("%d records", n)
	}
	if n := l.rounds(); n < 3*(told+again) || n > 3*(told+again)+3 {
		t.Errorf("%d rounds of magic packets", n)
	}
	// What waits meanwhile must not fill the hold. A request wakes all the same.
	if l.m.State() == machine.Waking {
		l.pass(time.Minute)
	}
	l.forget().event(knockSSH).want(machine.Asleep).wantActions(machine.DropPackets{}, machine.KnockIgnored{Service: ssh, Source: client})
	l.event(wakeAsked).want(machine.Waking)
	// Any frame of it ends the pause, and the next failure is reported again.
	l.pass(time.Minute).want(machine.Asleep).event(frame).pass(3 * s).want(machine.Asleep).forget()
	l.event(knockSSH).want(machine.Waking).wantActions(knockOnSSH, firstMagic, quietBoth)
}

func TestFailedWakeWithoutKeepForgets(t *testing.T) {
	l := waking(t, func(p *machine.Policy) { p.Keep = false; p.WakeAttempts = 1 })
	l.pass(15*s).wantActions(machine.WakeFailed{Trigger: machine.ByTCP, Attempts: 1}, machine.DropPackets{},
		releaseBoth, announce4, announce6, end4, end6, machine.Forget{Reason: "wake failed and wake.keep is false"})
}

func TestHoldoffDelaysTheFirstMagicPacket(t *testing.T) {
	holdoff := func(p *machine.Policy) { p.Holdoff = 10 * s }
	l := asleep(t, holdoff).pass(4 * s).event(knockSSH).want(machine.Waking)
	l.pass(5 * s).wantActions(knockOnSSH)
	l.pass(s).wantActions(firstMagic, quietBoth)

	// A frame before the first magic packet is no effect of it.
	l = asleep(t, func(p *machine.Policy) { p.Holdoff = time.Minute + 10*s }).pass(time.Minute).event(knockSSH).forget()
	l.pass(s).event(frame).want(machine.Settling).wantActions()
	l.pass(3*s).want(machine.Waking).wantActions(claimBoth, goesOn)
	l.pass(70*s).wantActions(firstMagic, quietBoth)
	if got := l.tally().Wakes[machine.ByTCP]; got != 1 {
		t.Errorf("one wake counted as %d", got)
	}
}

// TestAFrameWhileItIsWoken silences us for the address that it speaks for, until it
// answered or was silent for as long as a start may be.
func TestAFrameWhileItIsWoken(t *testing.T) {
	l := waking(t, nil).pass(5 * s).event(uses(ip4)).want(machine.Waking).wantActions(machine.Yield{Addrs: only4})
	l.pass(2999 * time.Millisecond).wantActions()
	l.pass(101 * time.Millisecond).want(machine.Waking).wantActions(machine.Claim{Addrs: only4, Quiet: true})
	// A test of an address is a start: nothing is answered for any.
	waking(t, nil).pass(5*s).event(tests(ip6)).want(machine.Arriving).
		wantActions(machine.Yield{Addrs: only6}, quietBoth, machine.Yield{Addrs: only4}, machine.CheckServices{Services: []machine.Service{ssh}})
}

// TestKnockWhileItStartsByHand: its packet is sent on when its service is ready, in
// whatever order they come. The porter did not wake the machine.
func TestKnockWhileItStartsByHand(t *testing.T) {
	holdoff := func(p *machine.Policy) { p.Holdoff = 10 * s }
	for name, l := range map[string]*life{
		"it speaks first":  asleep(t, nil).pass(time.Minute).event(uses(ip4)).pass(s).event(knockSSH),
		"knocked at first": asleep(t, nil).pass(time.Minute).event(frame, knockSSH).pass(s).event(uses(ip4)),
		"held off":         asleep(t, holdoff).event(knockSSH).pass(s).event(uses(ip4)),
	} {
		t.Run(name, func(t *testing.T) {
			l.t = t
			before := l.tally().Wakes[machine.ByTCP]
			l.want(machine.Arriving).forget()
			l.as(at(ip4), 2*s).event(ready).want(machine.Awake).wantActions(releaseBoth, announce4)
			if got := l.tally(); got.ExternalStarts != 1 || got.Attempts != 0 || got.Wakes[machine.ByTCP] != before {
				t.Errorf("tally %+v", got)
			}
		})
	}
}

// TestALateFrameWhileAClientKnocks is no start: the machine is woken.
func TestALateFrameWhileAClientKnocks(t *testing.T) {
	l := asleep(t, nil).pass(time.Minute).event(tests(ip4), knockSSH)
	l.want(machine.Arriving).wantActions(quietBoth, machine.Yield{Addrs: only4}, quietBoth, machine.Yield{Addrs: only6},
		machine.CheckServices{Services: []machine.Service{ssh}})
	l.pass(4*s).want(machine.Waking).wantActions(claimBoth, knockOnSSH, firstMagic, quietBoth)
	if got := l.tally(); got.ExternalStarts != 0 || got.Wakes[machine.ByTCP] != 1 {
		t.Errorf("tally %+v", got)
	}
}

func TestKnockWhileItSettles(t *testing.T) {
	asleep(t, nil).pass(time.Minute).event(frame, knockSSH).want(machine.Settling).wantActions(quietBoth).
		event(knockGame).pass(3*s).want(machine.Waking).wantActions(claimBoth, knockOnSSH, firstMagic, quietBoth)
	// From a stale neighbor entry, before the claim.
	newLife(t, nil).event(registered, knockSSH).pass(3*s).want(machine.Waking).
		wantActions(claimBoth, knockOnSSH, firstMagic, quietBoth)
}

// TestWakeFailsJustAfterAFrame: what the machine said last is looked into, and its
// address is claimed again.
func TestWakeFailsJustAfterAFrame(t *testing.T) {
	l := waking(t, func(p *machine.Policy) { p.WakeAttempts = 1 }).pass(14500 * time.Millisecond).event(uses(ip4))
	l.pass(s).want(machine.Settling).pass(4 * s).want(machine.Asleep)
	if got := l.m.Answered(); len(got) != 2 {
		t.Errorf("%v are answered for; so far:\n%s", got, l.story())
	}
	l.event(knockSSH).want(machine.Waking) // the frame ended the count of failures
}
