package machine_test

import (
	"slices"
	"testing"
	"time"

	"nightporter/internal/machine"
)

// sent returns when magic packets went out, counted from the first of l's present
// wake, while the machine is off for so long.
func sent(l *life, d time.Duration) (at []time.Duration) {
	for began := l.now; l.now.Sub(began) < d; {
		l.pass(10 * time.Millisecond)
		for range actions[machine.SendMagic](l) {
			at = append(at, l.now.Sub(began))
		}
		l.forget()
	}
	return at
}

// TestFirstRoundIsDense: a card that hears from some moment on, or every second
// packet only, is on within 2 s of being able.
func TestFirstRoundIsDense(t *testing.T) {
	for interval, later := range map[time.Duration][]time.Duration{
		15 * s:                 {15 * s, 30 * s},
		20 * s:                 {20 * s, 40 * s},
		3 * s:                  {3 * s, 6 * s},
		700 * time.Millisecond: {700 * time.Millisecond, 1400 * time.Millisecond},
	} {
		at := sent(waking(t, func(p *machine.Policy) { p.WakeInterval = interval }), 3*interval)
		var want []time.Duration
		for _, d := range []time.Duration{500 * time.Millisecond, s, 2 * s, 3 * s, 4 * s, 5 * s, 6 * s, 7 * s, 8 * s, 9 * s, 10 * s, 11 * s, 12 * s, 13 * s, 14 * s} {
			if d < interval {
				want = append(want, d)
			}
		}
		if want = append(want, later...); !slices.Equal(at, want) {
			t.Errorf("every %v: sent at %v, want %v", interval, at, want)
		}
	}
}

// patient is a policy with wakes of 45 s, of 5 min while a client retries.
func patient(p *machine.Policy) { p.WakeTimeout = 5 * time.Minute }

// linux are the times at which a Linux client sends its SYN.
var linux = []time.Duration{0, s, 2 * s, 3 * s, 4 * s, 5 * s, 7 * s, 11 * s, 19 * s, 35 * s, 67 * s}

// knocks passes time with a client that repeats its SYN at the given times.
func (l *life) knocks(at []time.Duration, ask func(machine.Probe) []machine.Event) *life {
	began := l.now
	for _, d := range at {
		l.as(ask, d-l.now.Sub(began)).event(knockSSH)
	}
	return l
}

// TestAWakeGoesOnWhileSomebodyTries, within wake.timeout, and its magic packets do.
func TestAWakeGoesOnWhileSomebodyTries(t *testing.T) {
	l := asleep(t, patient).knocks(linux, unanswered).want(machine.Waking).forget()
	l.pass(40 * s).want(machine.Waking)
	if n := l.rounds(); n != 3 { // at 75, 90 and 105 s
		t.Errorf("%d more rounds of magic packets", n)
	}
	l.pass(40 * s).event(answer(ip4)).want(machine.Arriving).event(ready).want(machine.Awake)
	if got := l.tally(); got.Failures[machine.ByTCP] != 0 || got.ExternalStarts != 0 {
		t.Errorf("tally %+v", got)
	}
	// No client retries any more.
	asleep(t, patient).event(knockSSH).pass(44 * s).want(machine.Waking).pass(s).want(machine.Asleep)
	// A check each second tries for ever.
	l = asleep(t, patient)
	for range 299 {
		l.event(knockSSH).pass(s).want(machine.Waking)
	}
	l.event(knockSSH).pass(s).want(machine.Asleep)
	// One that tries again after a pause is waited for as long as that.
	asleep(t, patient).knocks([]time.Duration{0, 40 * s}, unanswered).pass(50 * s).want(machine.Waking).pass(11 * s).want(machine.Asleep)
}

// TestTheWaitForAServiceGoesOnWhileSomebodyTries.
func TestTheWaitForAServiceGoesOnWhileSomebodyTries(t *testing.T) {
	l := asleep(t, patient).event(knockSSH).pass(5 * s).event(answer(ip4)).want(machine.Arriving)
	l.knocks(linux, at(ip4)).as(at(ip4), 90*s).want(machine.Arriving)
	l.event(ready).want(machine.Awake)
	// Not for ever.
	l = asleep(t, patient).event(knockSSH).pass(5 * s).event(answer(ip4))
	for range 299 {
		l.event(knockSSH).as(at(ip4), s).want(machine.Arriving)
	}
	l.event(knockSSH).as(at(ip4), 2*s).want(machine.Awake).reason(machine.Arriving, machine.Awake, machine.WhyNotReady)
}

// TestWhatAMachineTakesIsKnown: it has half as long again, also after a restart of
// the porter. An exception fades.
func TestWhatAMachineTakesIsKnown(t *testing.T) {
	l := asleep(t, nil).event(wakeAsked).pass(44*s).event(answer(ip4)).as(at(ip4), 59*s).event(ready).want(machine.Awake)
	if got := l.m.Memory().BootTimes; got.Boot != 44*s || got.Services != 59*s {
		t.Fatalf("takes %+v", got)
	}
	l.event(registered).pass(3 * s).want(machine.Asleep).away(time.Minute).pass(s).want(machine.Asleep)
	l.event(knockSSH).pass(65 * s).want(machine.Waking)
	l.event(answer(ip4)).as(at(ip4), 88*s).want(machine.Arriving).event(ready).want(machine.Awake)
	for range 20 {
		l.event(registered).pass(3*s).event(knockSSH).pass(5*s).event(answer(ip4), ready).want(machine.Awake)
	}
	if got := l.m.Memory().BootTimes; got.Boot > 10*s || got.Services > 10*s {
		t.Errorf("takes %+v", got)
	}
	l.event(registered).pass(3 * s).event(knockSSH).pass(45 * s).want(machine.Asleep)
}

// TestAServiceHasItsOwnTime, and the slowest one that a client waits for counts.
func TestAServiceHasItsOwnTime(t *testing.T) {
	for own, want := range map[time.Duration]time.Duration{10 * s: 10 * s, 3 * time.Minute: 3 * time.Minute} {
		nas := spec()
		nas.Monitor[0].Settings = map[machine.Port]machine.Settings{ssh.Port: {ReadyTimeout: own}}
		l := lifeOf(t, nas, nil).event(machine.Registered{Spec: nas}).pass(3 * s).event(knockSSH).pass(s).event(answer(ip4)).want(machine.Arriving)
		l.as(at(ip4), want-time.Millisecond).want(machine.Arriving).as(at(ip4), 200*time.Millisecond).want(machine.Awake)
		l = lifeOf(t, nas, nil).event(machine.Registered{Spec: nas}).pass(3*s).event(knockSSH, knockGame).pass(s).event(answer(ip4))
		l.as(at(ip4), max(want, time.Minute)-time.Second).want(machine.Arriving)
	}
}
