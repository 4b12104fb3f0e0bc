package machine_test

import (
	"testing"
	"time"

	"nightporter/internal/machine"
)

func TestKnockWakes(t *testing.T) {
	l := asleep(t, nil).pass(time.Hour).event(machine.Knocked{Service: ssh, Source: client}).want(machine.Waking).
		reason(machine.Asleep, machine.Waking, machine.WhyKnock).wantActions(knockOnSSH, machine.SendMagic{Attempt: 1}, hushBoth)
	l.pass(8 * time.Second).event(machine.Heard{}).want(machine.Waking).wantActions() // firmware
	l.pass(2*time.Second).event(machine.Heard{Addr: ip4, InUse: true}).want(machine.Arriving).
		reason(machine.Waking, machine.Arriving, machine.WhyArrived).
		wantActions(machine.Yield{}, machine.HandOver{Services: []machine.Service{ssh}})
	l.pass(500*time.Millisecond).event(machine.ServicesReady{}).want(machine.Awake).
		reason(machine.Arriving, machine.Awake, machine.WhyReady).
		wantActions(releaseBoth, machine.Announce{Addrs: both[:1]},
			machine.WakeEnded{Boot: 10 * time.Second, Ready: 10500 * time.Millisecond})
	// Its IPv6 address was still being tested.
	l.pass(time.Second).event(machine.Heard{Addr: ip6, InUse: true}).wantActions(machine.Announce{Addrs: both[1:]})

	got := l.m.Status()
	if got.Tally.Wakes[machine.ByTCP] != 1 || got.Tally.Attempts != 1 || got.Tally.ExternalStarts != 0 {
		t.Errorf("tally %+v", got.Tally)
	}
	if got.Tally.Slept != time.Hour || got.Tally.SavedJoules != 3600*50 {
		t.Errorf("slept %v, saved %v J; want 1h and 180000 J", got.Tally.Slept, got.Tally.SavedJoules)
	}
}

func TestWakeAskedFor(t *testing.T) {
	asked := machine.WakeAsked{Trigger: machine.ByAPI, By: "10.77.0.10"}
	asleep(t, nil).event(asked).want(machine.Waking).reason(machine.Asleep, machine.Waking, machine.WhyAsked).
		wantActions(machine.WakeBegan{Trigger: machine.ByAPI, By: "10.77.0.10"}, machine.SendMagic{Attempt: 1}, hushBoth).
		event(asked).want(machine.Waking).wantActions()

	// While it settles the wish is kept until it is surely off; until then one
	// packet, because a network card can answer for a machine that is.
	newLife(t, nil).event(machine.Registered{Spec: spec()}).event(asked).wantActions(machine.SendMagic{Attempt: 1}).
		pass(3*time.Second).want(machine.Waking).
		wantActions(machine.Claim{Addrs: both}, machine.WakeBegan{Trigger: machine.ByAPI, By: "10.77.0.10"}, machine.SendMagic{Attempt: 1}, hushBoth)

	newLife(t, nil).event(asked).want(machine.Awake).wantActions(machine.SendMagic{Attempt: 1})
	arriving(t, nil).event(asked).want(machine.Arriving).wantActions()
}

func TestMagicPacketsAreRepeatedThenTheWakeFails(t *testing.T) {
	l := asleep(t, nil).event(machine.Knocked{Service: game, Source: client})
	l.pass(44 * time.Second).want(machine.Waking)
	l.pass(time.Second).want(machine.Asleep).reason(machine.Waking, machine.Asleep, machine.WhyAttemptsGone).wantActions(
		machine.WakeBegan{Trigger: machine.ByUDP, Service: game, Source: client},
		machine.SendMagic{Attempt: 1}, hushBoth, machine.SendMagic{Attempt: 2}, machine.SendMagic{Attempt: 3},
		machine.WakeFailed{Trigger: machine.ByUDP, Attempts: 3})
	if got := l.m.Status().Tally; got.Failures[machine.ByUDP] != 1 || got.Attempts != 3 {
		t.Errorf("tally %+v", got)
	}
	// It is still claimed, and the next knock tries again.
	l.event(machine.Knocked{Service: ssh, Source: client}).want(machine.Waking).
		wantActions(knockOnSSH, machine.SendMagic{Attempt: 1}, hushBoth)
}

func TestFailedWakeWithoutKeepForgets(t *testing.T) {
	l := waking(t, func(p *machine.Policy) { p.Keep = false; p.WakeAttempts = 1 })
	l.pass(15*time.Second).wantActions(machine.WakeFailed{Trigger: machine.ByTCP, Attempts: 1}, releaseBoth, tellBoth, partBoth, machine.Forget{})
}

func TestHoldoffDelaysTheFirstMagicPacket(t *testing.T) {
	holdoff := func(p *machine.Policy) { p.Holdoff = 10 * time.Second }
	l := asleep(t, holdoff).pass(4 * time.Second).event(machine.Knocked{Service: ssh, Source: client}).want(machine.Waking)
	l.pass(5 * time.Second).wantActions(knockOnSSH)
	l.pass(time.Second).wantActions(machine.SendMagic{Attempt: 1}, hushBoth)

	// A frame before the first magic packet is none of our doing.
	l = asleep(t, holdoff).event(machine.Knocked{Service: ssh, Source: client}).forget()
	l.pass(time.Second).event(machine.Heard{}).want(machine.Settling).wantActions(releaseBoth)
	goesOn := knockOnSSH
	goesOn.GoesOn = true
	l.pass(4*time.Second).want(machine.Waking).wantActions(machine.Claim{Addrs: both}, goesOn)
	l.pass(10*time.Second).wantActions(machine.SendMagic{Attempt: 1}, hushBoth)
	if got := l.m.Status().Tally.Wakes[machine.ByTCP]; got != 1 {
		t.Errorf("one wake counted as %d", got)
	}
}

func TestFirmwareThatSpeaksForTheAddressAndFallsSilent(t *testing.T) {
	l := arriving(t, nil).pass(3*time.Second).want(machine.Waking).
		reason(machine.Arriving, machine.Waking, machine.WhyFirmware).wantActions(machine.Claim{Addrs: both}, hushBoth)
	// The attempts go on from where they were: 15 s after the first.
	l.pass(6999 * time.Millisecond).wantActions()
	l.pass(time.Millisecond).wantActions(machine.SendMagic{Attempt: 2})
	l.pass(time.Second).event(machine.Heard{Addr: ip4}).forget().event(machine.ServicesReady{}).
		wantActions(releaseBoth, machine.WakeEnded{Boot: 16 * time.Second, Ready: 16 * time.Second})

	// With its attempts used up it still gets one interval to boot.
	l = arriving(t, func(p *machine.Policy) { p.WakeAttempts = 1 }).pass(17 * time.Second).want(machine.Waking)
	l.pass(time.Second).want(machine.Asleep)
}

func TestArrivingHandsOverUnreadyAfterTheTimeout(t *testing.T) {
	l := arriving(t, nil)
	for range 60 {
		l.pass(time.Second).event(machine.Heard{})
	}
	l.want(machine.Awake).reason(machine.Arriving, machine.Awake, machine.WhyNotReady).
		wantActions(releaseBoth, machine.WakeEnded{Boot: 5 * time.Second, Ready: 65 * time.Second, Unready: true})
}

func TestKnockOnAnotherServiceWhileItArrives(t *testing.T) {
	arriving(t, nil).event(machine.Knocked{Service: game, Source: client}).
		wantActions(machine.HandOver{Services: []machine.Service{ssh, game}}).
		event(machine.Knocked{Service: game, Source: client}).wantActions()
	waking(t, nil).event(machine.Knocked{Service: game, Source: client}).wantActions().
		event(machine.Heard{Addr: ip6}).
		wantActions(machine.Yield{}, machine.HandOver{Services: []machine.Service{ssh, game}})
}

// TestKnockWhileItStartsByHand: whoever waits is let in when its service is
// ready, in whatever order they come. Nobody woke it.
func TestKnockWhileItStartsByHand(t *testing.T) {
	knock, hello := machine.Knocked{Service: ssh, Source: client}, machine.Heard{Addr: ip4, InUse: true}
	holdoff := func(p *machine.Policy) { p.Holdoff = 10 * time.Second }
	for name, l := range map[string]*life{
		"it speaks first":  asleep(t, nil).pass(time.Minute).event(hello).pass(time.Second).event(knock),
		"knocked at first": asleep(t, nil).pass(time.Minute).event(machine.Heard{}).event(knock).pass(time.Second).event(hello),
		"held off":         asleep(t, holdoff).event(knock).pass(time.Second).event(hello),
	} {
		t.Run(name, func(t *testing.T) {
			l.t = t
			before := l.m.Status().Tally.Wakes[machine.ByTCP]
			l.want(machine.Arriving).forget()
			l.pass(2*time.Second).event(hello).event(machine.ServicesReady{}).want(machine.Awake).
				wantActions(releaseBoth, machine.Announce{Addrs: both[:1]})
			if got := l.m.Status().Tally; got.ExternalStarts != 1 || got.Attempts != 0 || got.Wakes[machine.ByTCP] != before {
				t.Errorf("tally %+v", got)
			}
		})
	}
}

// TestALateFrameWhileSomebodyKnocks is no start: the machine is woken.
func TestALateFrameWhileSomebodyKnocks(t *testing.T) {
	l := asleep(t, nil).pass(time.Minute).event(machine.Heard{Addr: ip4}).event(machine.Knocked{Service: ssh, Source: client})
	l.want(machine.Arriving).wantActions(releaseBoth, machine.Yield{}, machine.HandOver{Services: []machine.Service{ssh}}, hushBoth)
	l.pass(3*time.Second).want(machine.Waking).wantActions(machine.Claim{Addrs: both}, knockOnSSH, machine.SendMagic{Attempt: 1}, hushBoth)
	if got := l.m.Status().Tally; got.ExternalStarts != 0 || got.Wakes[machine.ByTCP] != 1 {
		t.Errorf("tally %+v", got)
	}
}

func TestKnockFromAStaleNeighbourEntryWhileItSettles(t *testing.T) {
	asleep(t, nil).event(machine.Heard{}).event(machine.Knocked{Service: ssh, Source: client}).
		want(machine.Settling).wantActions(releaseBoth).
		event(machine.Knocked{Service: game, Source: client}).
		pass(4*time.Second).want(machine.Waking).
		wantActions(machine.Claim{Addrs: both}, knockOnSSH, machine.SendMagic{Attempt: 1}, hushBoth)
}
