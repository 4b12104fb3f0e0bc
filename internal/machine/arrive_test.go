package machine_test

import (
	"testing"
	"time"

	"nightporter/internal/machine"
)

func TestFirmwareThatAnswersAndFallsSilent(t *testing.T) {
	l := arriving(t, nil).pass(2999*time.Millisecond).want(machine.Arriving).pass(101*time.Millisecond).want(machine.Waking).
		reason(machine.Arriving, machine.Waking, machine.WhyFirmware).wantActions(claimQuietly)
	// The attempts go on from where they were: 15 s after the first.
	l.pass(6899 * time.Millisecond).wantActions()
	l.pass(time.Millisecond).wantActions(machine.SendMagic{Attempt: 2})
	l.pass(s).event(answer(ip4)).forget().event(ready).
		wantActions(releaseBoth, announce4, machine.WakeEnded{Boot: 16 * s, Ready: 16 * s})

	// With its attempts used up it still gets one interval to boot.
	l = arriving(t, func(p *machine.Policy) { p.WakeAttempts = 1 }).pass(17 * s).want(machine.Waking)
	l.pass(2 * s).want(machine.Asleep)
}

// TestALateTickIsNoSilence: the loop stood still, and a question that was not sent
// was not left unanswered.
func TestALateTickIsNoSilence(t *testing.T) {
	l := arriving(t, nil).as(at(ip4), s)
	l.now = l.now.Add(20 * s)
	l.event(machine.Ticked{}).want(machine.Arriving).as(at(ip4), 500*time.Millisecond).want(machine.Arriving)
	// Neither is one that our own link did not let through.
	l.as(cut, 200*time.Millisecond).want(machine.Arriving)
	arriving(t, nil).as(cut, 20*s).want(machine.Arriving)
	// Nor is one that was not asked since at the address where it is up.
	l = arriving(t, nil).as(at(ip6), 2200*time.Millisecond)
	l.now = l.now.Add(5 * s)
	l.event(machine.Ticked{}).want(machine.Arriving).as(at(ip6), 500*time.Millisecond).want(machine.Arriving)
	// One that cannot be asked, since no address has a place, is not silent either.
	arriving(t, nil).event(waits(ip4), waits(ip6)).pass(20 * s).want(machine.Arriving)
}

// TestTestsWhileItArrives: a pause of its test is not the silence of firmware.
func TestTestsWhileItArrives(t *testing.T) {
	l := waking(t, nil).pass(5 * s)
	for range 4 {
		l.event(tests(ip4)).want(machine.Arriving).pass(2400 * time.Millisecond)
	}
	l.want(machine.Arriving).event(uses(ip4)).as(at(ip4), s).want(machine.Arriving)
	// Forged ones keep the claim away no longer than a test may last.
	l = waking(t, nil).pass(5 * s)
	for range 14 {
		l.event(tests(ip4)).pass(s)
	}
	l.reason(machine.Arriving, machine.Waking, machine.WhyFirmware)
	// One that tests its addresses one after the other takes longer, and has each
	// test's time. Forged ones are over all the same.
	l = waking(t, nil).pass(5 * s)
	for range 9 {
		l.event(tests(ip6)).pass(s)
	}
	for range 8 {
		l.event(tests(ip4)).pass(s)
	}
	if len(actions[machine.Claim](l)) > 0 {
		t.Errorf("claimed what it tests; so far:\n%s", l.story())
	}
	for range 6 {
		l.event(tests(ip6), tests(ip4)).pass(s)
	}
	l.reason(machine.Arriving, machine.Waking, machine.WhyFirmware)
}

func TestArrivingHandsOverUnreadyAfterTheTimeout(t *testing.T) {
	l := arriving(t, nil).as(at(ip4), time.Minute-time.Millisecond).want(machine.Arriving).as(at(ip4), 100*time.Millisecond)
	l.want(machine.Awake).reason(machine.Arriving, machine.Awake, machine.WhyNotReady)
	if ended := actions[machine.WakeEnded](l); len(ended) != 1 || !ended[0].Unready || ended[0].Boot != 5*s {
		t.Errorf("%+v", ended)
	}
}

// TestUpAtAnotherOfItsAddresses: a machine that never uses the address that a client
// waits for is up all the same, and nothing is claimed that it uses.
func TestUpAtAnotherOfItsAddresses(t *testing.T) {
	for _, e := range []machine.Event{tests(ip6), uses(ip6)} {
		l := waking(t, nil).pass(5 * s).event(e).forget()
		l.as(at(ip6), 50*s).want(machine.Arriving)
		if len(actions[machine.Claim](l)) > 0 {
			t.Fatalf("claimed; so far:\n%s", l.story())
		}
		l.as(at(ip6), 20*s).want(machine.Awake).reason(machine.Arriving, machine.Awake, machine.WhyNotReady)
	}
}

func TestKnockOnAnotherServiceWhileItArrives(t *testing.T) {
	two := machine.CheckServices{Services: []machine.Service{ssh, game}}
	arriving(t, nil).event(knockGame).wantActions(two).event(knockGame).wantActions()
	waking(t, nil).event(knockGame).wantActions().
		event(answer(ip6)).wantActions(quietBoth, machine.Yield{Addrs: both}, two)
}

// TestServicesBecomeReadyOneByOne: each takes its clients at once.
func TestServicesBecomeReadyOneByOne(t *testing.T) {
	some := machine.ServicesReady{Services: []machine.Service{game}}
	arriving(t, nil).event(some).want(machine.Arriving).wantActions(machine.AdmitClients{Services: some.Services}).
		event(machine.ServicesReady{}).wantActions()
	// An answer that comes too late does nothing.
	awake(t, nil).event(ready, some).want(machine.Awake).wantActions()
	asleep(t, nil).event(ready, some).want(machine.Asleep).wantActions()
}

// TestConflictWhileItArrives: the machine will never answer at an address that is
// left to another host, so that no client waits for it there.
func TestConflictWhileItArrives(t *testing.T) {
	arriving(t, nil).event(conflict).wantActions(machine.ConflictSeen{Addr: ip4, By: otherMAC}, machine.Release{Addrs: only4},
		end4, machine.StopAnnouncing{Addrs: only4}, machine.CheckServices{})
}
