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

// TestOnlyTheCardAnswers: without claim.override_offload it is said, and the
// machine is left alone.
func TestOnlyTheCardAnswers(t *testing.T) {
	for name, react := range map[string]reaction{"card": onlyCard, "firmware": firmware} {
		t.Run(name, func(t *testing.T) {
			l := newLife(t, nil).event(registered).as(react, 10*time.Minute-time.Millisecond).want(machine.Settling).wantDeep(false)
			l.as(react, 4*time.Second).want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyOnlyNIC)
			if n := l.deep(); n != 3 {
				t.Errorf("asked %d times for a proof of its system, want probe.misses", n)
			}
			if got := l.tally(); got.SettleTimeouts != 1 || got.ExternalStarts != 0 {
				t.Errorf("tally %+v", got)
			}
			if l.m.NICAnswers() {
				t.Error("overridden")
			}
			// Nothing has changed for it: it is not asked for more before the timeout.
			l.forget().event(registered).as(react, 9*time.Minute).want(machine.Settling).wantDeep(false)
		})
	}
}

func TestCardIsOverridden(t *testing.T) {
	for name, react := range map[string]reaction{"card": onlyCard, "firmware": firmware} {
		t.Run(name, func(t *testing.T) {
			l := newLife(t, override).event(registered).as(react, 10*time.Minute-time.Millisecond).want(machine.Settling).wantDeep(false)
			l.as(react, 4*time.Second).want(machine.Asleep).reason(machine.Settling, machine.Asleep, machine.WhyOnlyNIC)
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
	if mem := l.m.Memory(); mem.NICAnswers {
		t.Error("it is known for a card that answers")
	}
}

// TestShortTimeout: a machine that was heard a moment ago is given the pause of a
// start before its answers are taken for its card's.
func TestShortTimeout(t *testing.T) {
	l := newLife(t, func(p *machine.Policy) { p.ProbeTimeout = time.Second }).event(registered)
	l.as(onlyCard, 2900*time.Millisecond).want(machine.Settling)
	l.as(onlyCard, 4*time.Second).want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyOnlyNIC)
}

// TestCardThatAnswersLate: a link that comes back only after the claim.
func TestCardThatAnswersLate(t *testing.T) {
	late := func(change func(*machine.Policy)) *life {
		return asleep(t, change).pass(4 * time.Second).event(answer(ip4)).want(machine.Settling)
	}
	l := late(override).as(onlyCard, 2900*time.Millisecond).want(machine.Settling).wantDeep(true)
	l.as(onlyCard, 4*time.Second).want(machine.Asleep).reason(machine.Settling, machine.Asleep, machine.WhyOnlyNIC)
	if got := l.tally().ExternalStarts; got != 0 {
		t.Errorf("%d external starts", got)
	}
	// Without the override it counts as awake, and not as started by hand.
	l = late(nil).as(onlyCard, 4*time.Second).want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyOnlyNIC)
	if got := l.tally().ExternalStarts; got != 0 {
		t.Errorf("%d external starts", got)
	}
	// One that was started answers the first question.
	late(override).up(0).want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyStarted).wantDeep(true)
	// A late answer of the shutdown is only that.
	l = late(override).pass(4 * time.Second).want(machine.Asleep)
	if mem := l.m.Memory(); mem.NICAnswers {
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
		reason(machine.Settling, machine.Asleep, machine.WhyOnlyNIC)
}

// TestCardIsKnownAfterARestart, and the sleep goes on.
func TestCardIsKnownAfterARestart(t *testing.T) {
	l := known(t).pass(time.Hour)
	mem, seen := l.m.Memory(), l.now
	if !mem.NICAnswers {
		t.Fatal("it is not in the machine's memory")
	}
	p := policy()
	override(&p)
	l.now = l.now.Add(time.Minute)
	l.m = machine.Restore(mem, p, seen, l.now)
	l.as(onlyCard, time.Second).want(machine.Asleep)
	status := l.m.Status()
	if got := status.Slept(l.now); got < 61*time.Minute {
		t.Errorf("slept %v", got)
	}
	// It was started meanwhile, and answers the first question.
	l.m = machine.Restore(mem, p, seen, l.now)
	l.up(0).want(machine.Awake)
}

// TestOverrideIsTakenBack: from then on its card is believed, and it is let go of.
func TestOverrideIsTakenBack(t *testing.T) {
	l := known(t).event(machine.PolicyChanged{Policy: policy()}).want(machine.Asleep).wantActions()
	l.event(answer(ip4)).want(machine.Settling)
	l.as(onlyCard, time.Minute).want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyOnlyNIC)
	if got := l.tally().ExternalStarts; got != 0 {
		t.Errorf("%d external starts", got)
	}
}
