package machine_test

import (
	"testing"
	"time"

	"nightporter/internal/machine"
)

// override has machines claimed whose network cards answer.
func override(p *machine.Policy) { p.OverrideOffload = true }

// known is a machine that sleeps, and of which it is known that its card answers.
func known(t *testing.T) *life {
	t.Helper()
	return newLife(t, override).event(registered).as(onlyCard, 11*time.Minute).want(machine.Asleep).forget()
}

// deep counts the questions that ask for more than a card can answer.
func (l *life) deep() (n int) {
	for _, p := range actions[machine.Probe](l) {
		if p.System {
			n++
		}
	}
	return n
}

func (l *life) wantDeep(asked bool) *life {
	l.t.Helper()
	if n := l.deep(); (n > 0) != asked {
		l.t.Fatalf("asked for a proof of its system %d times; so far:\n%s", n, l.story())
	}
	return l.forget()
}

// TestFramesProveNothing: whatever merely arrives from its MAC while a machine
// sleeps, forged or not, costs one look and never wakes its record.
func TestFramesProveNothing(t *testing.T) {
	const apart = 1600 * time.Millisecond // FAULTS case 4
	for name, c := range map[string]struct {
		e     machine.Event
		apart time.Duration // what looks like an answer is one while a question is open
	}{
		"frame": {frame, apart}, "test": {tests(ip4), apart}, "use": {uses(ip4), apart}, "data": {data(ip4), apart}, "elsewhere": {uses(away4), apart},
		"answer": {answer(ip4), 10 * s}, "echo": {machine.Answered{Addr: ip4, Proof: machine.ByEcho}, 10 * s},
		"segment": {machine.Answered{Addr: ip4, Proof: machine.BySystem}, 10 * s},
	} {
		t.Run(name, func(t *testing.T) {
			l := asleep(t, nil).pass(time.Hour)
			for range 3 {
				l.event(c.e).want(machine.Settling).pass(c.apart)
			}
			l.pass(10 * time.Second).want(machine.Asleep)
			for _, m := range actions[machine.Moved](l) {
				if m.To == machine.Awake {
					t.Fatalf("%+v", m)
				}
			}
			if got := l.tally(); got.ExternalStarts+got.SettleTimeouts != 0 {
				t.Errorf("tally %+v", got)
			}
			l.event(knockSSH).want(machine.Waking)
		})
	}
}

// TestAFrameMakesUsAskAtOnce, also a machine that settles already.
func TestAFrameMakesUsAskAtOnce(t *testing.T) {
	asleep(t, nil).event(frame).up(0).want(machine.Awake)
	waking(t, nil).pass(14 * time.Second).event(frame).up(0).want(machine.Arriving)
	l := newLife(t, nil).event(registered).pass(1500 * time.Millisecond).forget().event(frame).pass(0)
	if len(actions[machine.Probe](l)) != 1 {
		t.Error("a settling machine is not asked at once")
	}
	// One that answers is not asked again for each of its frames.
	l = awake(t, nil)
	for range 1000 {
		l.event(data(ip4)).up(time.Millisecond)
	}
	if n := len(actions[machine.Probe](l)); n > 1 {
		t.Errorf("asked %d times in a second", n)
	}
}

// TestATalkativeBootIsNotAskedForEachFrame: firmware that loads a system over the
// network sends thousands.
func TestATalkativeBootIsNotAskedForEachFrame(t *testing.T) {
	l := waking(t, nil).pass(5 * time.Second).forget()
	for range 10_000 {
		l.event(data(away4)).pass(100 * time.Microsecond)
	}
	if n := len(actions[machine.Probe](l)); n > 250 {
		t.Errorf("asked %d times in a second", n)
	}
}

// TestOnlyTheCardAnswers: without claim.override_offload it is said, and the
// machine is left alone.
func TestOnlyTheCardAnswers(t *testing.T) {
	for name, react := range map[string]reaction{"card": onlyCard, "firmware": firmware} { // FAULTS case 9
		t.Run(name, func(t *testing.T) {
			l := newLife(t, nil).event(registered).as(react, 10*time.Minute-time.Millisecond).want(machine.Settling).wantDeep(false)
			l.as(react, 4*time.Second).want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyOnlyCard)
			if n := l.deep(); n != 3 {
				t.Errorf("asked %d times for a proof of its system, want probe.misses", n)
			}
			if got := l.tally(); got.SettleTimeouts != 1 || got.ExternalStarts != 0 {
				t.Errorf("tally %+v", got)
			}
			if l.m.CardAnswers() {
				t.Error("overridden")
			}
			// Nothing has changed for it: it is not asked for more before the timeout.
			l.forget().event(registered).as(react, 9*time.Minute).want(machine.Settling).wantDeep(false)
		})
	}
}

func TestCardIsOverridden(t *testing.T) {
	for name, react := range map[string]reaction{"card": onlyCard, "firmware": firmware} { // FAULTS case 9
		t.Run(name, func(t *testing.T) {
			l := newLife(t, override).event(registered).as(react, 10*time.Minute-time.Millisecond).want(machine.Settling).wantDeep(false)
			l.as(react, 4*time.Second).want(machine.Asleep).reason(machine.Settling, machine.Asleep, machine.WhyOnlyCard)
			if got := l.tally(); got.SettleTimeouts != 0 {
				t.Errorf("tally %+v", got)
			}
			// Its next sleep is claimed as fast as any.
			l.event(registered).forget().as(react, 2900*time.Millisecond).want(machine.Settling)
			l.as(react, 100*time.Millisecond).want(machine.Asleep).wantDeep(true)
		})
	}
}

// TestEchoProvesAMachineWithoutTCP: it is asked for nothing else.
func TestEchoProvesAMachineWithoutTCP(t *testing.T) {
	s := spec()
	s.Monitor = s.Monitor[1:]
	l := lifeOf(t, s, override).event(machine.Registered{Spec: s}).as(firmware, 11*time.Minute)
	l.want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyNeverSilent)
}

// TestIdleMachineRuns: it answers questions, if nothing else.
func TestIdleMachineRuns(t *testing.T) {
	for name, change := range map[string]func(*machine.Policy){"reported": nil, "overridden": override} {
		t.Run(name, func(t *testing.T) {
			l := newLife(t, change).event(registered).up(11 * time.Minute)
			l.want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyNeverSilent).wantDeep(true)
		})
	}
	// One that sends data of its own is not even asked for more.
	l := newLife(t, override).event(registered)
	for range 601 {
		l.as(onlyCard, time.Second).event(data(ip4))
	}
	l.want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyNeverSilent).wantDeep(false)
}

// TestSlowShutdownUntilTheTimeout: a machine that answers until it is asked for
// more, and then is off, is no machine behind a card.
func TestSlowShutdownUntilTheTimeout(t *testing.T) {
	l := newLife(t, nil).event(registered).as(onlyCard, 10*time.Minute+time.Second).want(machine.Settling).wantDeep(true)
	l.pass(4*time.Second).want(machine.Asleep).reason(machine.Settling, machine.Asleep, machine.WhySilent)
	if mem := l.m.Memory(); mem.Card {
		t.Error("it is known for a card that answers")
	}
}

// TestShortTimeout: a machine that was heard a moment ago is given the pause of a
// start before its answers are taken for its card's.
func TestShortTimeout(t *testing.T) {
	l := newLife(t, func(p *machine.Policy) { p.ProbeTimeout = time.Second }).event(registered)
	l.as(onlyCard, 2900*time.Millisecond).want(machine.Settling)
	l.as(onlyCard, 4*time.Second).want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyOnlyCard)
}

// TestCardThatAnswersLate: a link that comes back only after the claim.
func TestCardThatAnswersLate(t *testing.T) {
	late := func(change func(*machine.Policy)) *life {
		return asleep(t, change).pass(4 * time.Second).event(answer(ip4)).want(machine.Settling)
	}
	l := late(override).as(onlyCard, 2900*time.Millisecond).want(machine.Settling).wantDeep(true)
	l.as(onlyCard, 4*time.Second).want(machine.Asleep).reason(machine.Settling, machine.Asleep, machine.WhyOnlyCard)
	if got := l.tally().ExternalStarts; got != 0 {
		t.Errorf("%d external starts", got)
	}
	// Without the override it counts as awake, and not as started by hand.
	l = late(nil).as(onlyCard, 4*time.Second).want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyOnlyCard)
	if got := l.tally().ExternalStarts; got != 0 {
		t.Errorf("%d external starts", got)
	}
	// One that was started answers the first question.
	late(override).up(0).want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyStarted).wantDeep(true)
	// A late answer of the shutdown is only that.
	l = late(override).pass(4 * time.Second).want(machine.Asleep)
	if mem := l.m.Memory(); mem.Card {
		t.Error("it is known for a card that answers")
	}
}

// TestClientsOfACardThatAnswersLate are not sent on at the word of that card, and
// are not kept waiting by it either.
func TestClientsOfACardThatAnswersLate(t *testing.T) {
	late := func() *life {
		return asleep(t, override).pass(4*time.Second).event(answer(ip4), knockSSH)
	}
	late().as(onlyCard, 4*time.Second).want(machine.Waking)
	// Started by hand, it takes them at once.
	late().up(10 * time.Millisecond).want(machine.Arriving)
}

// TestKnownCardSaysNothing in any state.
func TestKnownCardSaysNothing(t *testing.T) {
	l := known(t).event(answer(ip4)).want(machine.Asleep).wantActions()

	l.event(knockSSH).want(machine.Waking).as(onlyCard, 14*time.Second).want(machine.Waking)
	if n := l.deep(); n < 100 {
		t.Errorf("looked for with %d questions", n)
	}
	l.event(tests(ip4)).want(machine.Arriving).forget()
	l.as(onlyCard, 2900*time.Millisecond).want(machine.Arriving).wantDeep(true)
	l.as(onlyCard, 200*time.Millisecond).want(machine.Waking).reason(machine.Arriving, machine.Waking, machine.WhyFirmware)

	// An address that its system has not shown is not announced.
	l.event(tests(ip4)).want(machine.Arriving).forget().event(uses(ip4), ready).want(machine.Awake)
	l.wantActions(releaseBoth, announce4, machine.WakeEnded{Boot: 17100 * time.Millisecond, Ready: 17100 * time.Millisecond})
	l.as(onlyCard, time.Second).wantDeep(true).event(answer(ip6)).wantActions()
	l.event(uses(ip6)).wantActions(announce6)
}

// TestPauseInTheShutdownBehindACard: the answers of a known card are no proof when
// the machine is asked again.
func TestPauseInTheShutdownBehindACard(t *testing.T) {
	l := known(t).event(registered).as(onlyCard, 3*time.Second).want(machine.Asleep)
	l.event(uses(ip4)).up(5*time.Second).want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyStarted)
	l.as(onlyCard, 20*time.Second).want(machine.Asleep).reason(machine.Awake, machine.Settling, machine.WhyUnanswered).
		reason(machine.Settling, machine.Asleep, machine.WhyOnlyCard)
}

// TestCardIsKnownAfterARestart, and the sleep goes on.
func TestCardIsKnownAfterARestart(t *testing.T) {
	l := known(t).pass(time.Hour)
	mem, seen := l.m.Memory(), l.now
	if !mem.Card {
		t.Fatal("it is not in the machine's memory")
	}
	p := policy()
	override(&p)
	l.now = l.now.Add(time.Minute)
	l.m = machine.Resume(mem, p, seen, l.now)
	l.as(onlyCard, time.Second).want(machine.Asleep)
	status := l.m.Status()
	if got := status.Slept(l.now); got < 61*time.Minute {
		t.Errorf("slept %v", got)
	}
	// It was started meanwhile, and answers the first question.
	l.m = machine.Resume(mem, p, seen, l.now)
	l.up(0).want(machine.Awake)
}

// TestOverrideIsTakenBack: from then on its card is believed, and it is let go of.
func TestOverrideIsTakenBack(t *testing.T) {
	l := known(t).event(machine.PolicyChanged{Policy: policy()}).want(machine.Asleep).wantActions()
	l.event(answer(ip4)).want(machine.Settling)
	l.as(onlyCard, time.Minute).want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyOnlyCard)
	if got := l.tally().ExternalStarts; got != 0 {
		t.Errorf("%d external starts", got)
	}
}

// TestElsewhere is FAULTS case 5: a machine that comes back at another address is
// up, and that is said once. Nothing of its own address is announced.
func TestElsewhere(t *testing.T) {
	speaks := func(l *life) {
		for range 24 {
			l.event(uses(away4)).as(at(away4), 5*time.Second)
		}
	}
	told := machine.Elsewhere{Addr: away4}
	l := asleep(t, nil).pass(time.Hour)
	speaks(l)
	l.want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyStarted).
		wantActions(quietBoth, releaseBoth, told, end4, end6)
	if got := l.m.Status(); got.Slept(l.now) != time.Hour {
		t.Errorf("slept %v", got.Slept(l.now))
	}
	l.event(knockSSH).want(machine.Awake).wantActions()

	// By a knock: one wake that did not fail.
	l = waking(t, nil)
	speaks(l)
	l.want(machine.Awake).reason(machine.Waking, machine.Awake, machine.WhyElsewhere)
	if got := l.tally(); got.Failures[machine.ByTCP] != 0 || len(actions[machine.Elsewhere](l)) != 1 || len(actions[machine.Announce](l)) != 0 {
		t.Errorf("tally %+v; so far:\n%s", got, l.story())
	}
	// Home again, it is said again.
	l.forget().up(time.Minute)
	speaks(l.up(time.Minute))
	l.wantActions(told)
}

// TestNoTCPToBeAskedFor: where the address with the TCP service has no place, or was
// left to another host, the machine cannot prove itself by TCP, and its echo counts.
func TestNoTCPToBeAskedFor(t *testing.T) {
	l := agentless(t, override).event(waits(ip4)).as(at6, time.Hour).want(machine.Awake)
	if len(actions[machine.Moved](l)) > 0 {
		t.Errorf("it is up; so far:\n%s", l.story())
	}
	l = agentless(t, override).pass(20*s).want(machine.Asleep).event(conflict, uses(ip6)).as(at6, time.Minute).want(machine.Awake).forget()
	if l.as(at6, time.Hour); len(actions[machine.Moved](l)) > 0 {
		t.Errorf("it is up; so far:\n%s", l.story())
	}
	// Where it has one, it is asked for that also when clients wait elsewhere.
	known(t).event(knockGame).as(onlyCard, 10*s).want(machine.Waking).up(s).want(machine.Arriving).up(10 * s).want(machine.Arriving)
}

// at6 is a machine that is up at its IPv6 address alone, where it has no TCP.
func at6(p machine.Probe) (es []machine.Event) {
	for _, ip := range p.Addrs {
		if ip == ip6 {
			es = append(es, machine.Answered{Addr: ip6})
			if p.System {
				es = append(es, machine.Answered{Addr: ip6, Proof: machine.ByEcho})
			}
		}
	}
	return es
}

// TestSilenceElsewhere: where none of its own addresses can be asked for, that a
// machine is silent at another one says nothing. A liar may have named that.
func TestSilenceElsewhere(t *testing.T) {
	asleep(t, nil).event(waits(ip4), waits(ip6), uses(away4)).pass(20 * s).want(machine.Settling).
		event(free(ip4, ip6)).up(s).want(machine.Awake)
}
