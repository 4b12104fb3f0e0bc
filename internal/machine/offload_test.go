package machine_test

import (
	"testing"
	"time"

	"nightporter/internal/machine"
)

// override has machines claimed whose network cards answer.
func override(p *machine.Policy) { p.OverrideOffload = true }

// behindCard lets time go by like pass. Meanwhile the machine's network card
// answers for it; and if running also the machine itself, but only when asked.
func (l *life) behindCard(d time.Duration, running bool) *life {
	l.t.Helper()
	end := l.now.Add(d)
	for due := l.m.Next(); !due.IsZero() && !due.After(end); due = l.m.Next() {
		if due.After(l.now) {
			l.now = due
		}
		for _, a := range l.m.Handle(l.now, machine.Ticked{}) {
			l.log = append(l.log, a)
			switch a := a.(type) {
			case machine.Probe:
				for _, ip := range a.Addrs {
					l.event(machine.Heard{Addr: ip, InUse: true, Answer: true})
				}
			case machine.Question:
				for _, ip := range a.Addrs {
					if running {
						l.event(machine.Heard{Addr: ip, InUse: true})
					}
				}
			}
		}
	}
	l.now = end
	return l
}

// questions counts the questions since the log was looked at last.
func (l *life) questions() (n int) {
	for _, a := range l.log {
		if _, ok := a.(machine.Question); ok {
			n++
		}
	}
	return n
}

func (l *life) wantQuestions(asked bool) *life {
	l.t.Helper()
	if n := l.questions(); (n > 0) != asked {
		l.t.Fatalf("questioned %d times; so far:\n%s", n, l.story())
	}
	return l.forget()
}

// known is a machine that sleeps, and of which it is known that its card answers.
func known(t *testing.T) *life {
	t.Helper()
	return newLife(t, override).event(machine.Registered{Spec: spec()}).behindCard(11*time.Minute, false).want(machine.Asleep).forget()
}

func TestOnlyTheCardAnswers(t *testing.T) {
	l := newLife(t, nil).event(machine.Registered{Spec: spec()})
	l.behindCard(10*time.Minute-time.Millisecond, false).want(machine.Settling).wantQuestions(false)
	l.behindCard(4*time.Second, false).want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyOnlyCard)
	if n := l.questions(); n != 3 {
		t.Errorf("questioned %d times, want probe.misses", n)
	}
	if got := l.m.Status().Tally; got.SettleTimeouts != 1 || got.ExternalStarts != 0 {
		t.Errorf("tally %+v", got)
	}
	if l.m.Watched() || l.m.CardAnswers() {
		t.Errorf("watched: %t, overridden: %t", l.m.Watched(), l.m.CardAnswers())
	}
	// Nothing has changed for it: it is not questioned before the timeout.
	l.forget().event(machine.Registered{Spec: spec()}).behindCard(9*time.Minute, false).want(machine.Settling).wantQuestions(false)
}

func TestCardIsOverridden(t *testing.T) {
	l := newLife(t, override).event(machine.Registered{Spec: spec()})
	l.behindCard(10*time.Minute-time.Millisecond, false).want(machine.Settling).wantQuestions(false)
	l.behindCard(4*time.Second, false).want(machine.Asleep).reason(machine.Settling, machine.Asleep, machine.WhyOnlyCard)
	if got := l.m.Status().Tally; got.SettleTimeouts != 0 {
		t.Errorf("tally %+v", got)
	}
	// Its next sleep is claimed as fast as any.
	l.event(machine.Registered{Spec: spec()}).forget()
	l.behindCard(2900*time.Millisecond, false).want(machine.Settling)
	l.behindCard(100*time.Millisecond, false).want(machine.Asleep).wantQuestions(true)
}

// TestIdleMachineRuns: it answers questions, if nothing else.
func TestIdleMachineRuns(t *testing.T) {
	for name, change := range map[string]func(*machine.Policy){"reported": nil, "overridden": override} {
		t.Run(name, func(t *testing.T) {
			l := newLife(t, change).event(machine.Registered{Spec: spec()}).behindCard(11*time.Minute, true)
			l.want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyNeverSilent).wantQuestions(true)
		})
	}
	// One that speaks of its own accord is not even questioned.
	l := newLife(t, override).event(machine.Registered{Spec: spec()})
	for range 601 {
		l.behindCard(time.Second, false).event(machine.Heard{Addr: ip4, InUse: true})
	}
	l.want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyNeverSilent).wantQuestions(false)
}

// TestSlowShutdownUntilTheTimeout: a machine that answers until it is questioned,
// and then is off, is no machine behind a card.
func TestSlowShutdownUntilTheTimeout(t *testing.T) {
	l := newLife(t, nil).event(machine.Registered{Spec: spec()}).behindCard(10*time.Minute+time.Second, false)
	l.want(machine.Settling).wantQuestions(true)
	l.pass(4*time.Second).want(machine.Asleep).reason(machine.Settling, machine.Asleep, machine.WhySilent)
	if mem := l.m.Memory(); mem.Card {
		t.Error("it is known for a card that answers")
	}
}

// TestShortTimeout: who has just been heard is given the time that a start may
// pause before answers are taken for its card's.
func TestShortTimeout(t *testing.T) {
	l := newLife(t, func(p *machine.Policy) { p.ProbeTimeout = time.Second }).event(machine.Registered{Spec: spec()})
	l.behindCard(2900*time.Millisecond, false).want(machine.Settling).wantQuestions(false)
	l.behindCard(4*time.Second, false).want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyOnlyCard)
}

// TestCardThatAnswersLate: a link that comes back only after the claim.
func TestCardThatAnswersLate(t *testing.T) {
	answer := machine.Heard{Addr: ip4, InUse: true, Answer: true}
	l := asleep(t, override).pass(time.Second).event(answer).want(machine.Settling)
	l.behindCard(2900*time.Millisecond, false).want(machine.Settling).wantQuestions(false)
	l.behindCard(4*time.Second, false).want(machine.Asleep).reason(machine.Settling, machine.Asleep, machine.WhyOnlyCard)
	if got := l.m.Status().Tally.ExternalStarts; got != 0 {
		t.Errorf("%d external starts", got)
	}
	// Without the override it counts as awake, and not as started by hand.
	l = asleep(t, nil).pass(time.Second).event(answer).behindCard(7*time.Second, false)
	l.want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyOnlyCard)
	// One that was started answers the first question.
	l = asleep(t, override).pass(time.Second).event(answer).behindCard(3100*time.Millisecond, true)
	l.want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyStarted).wantQuestions(true)
	// A late answer of the shutdown is only that.
	l = asleep(t, override).pass(time.Second).event(answer).pass(4 * time.Second).want(machine.Asleep).wantQuestions(false)
	if mem := l.m.Memory(); mem.Card {
		t.Error("it is known for a card that answers")
	}
}

// TestWhoWaitsForACardThatAnswersLate is not let in on the word of that card, and
// is not kept waiting by it either.
func TestWhoWaitsForACardThatAnswersLate(t *testing.T) {
	answer := machine.Heard{Addr: ip4, InUse: true, Answer: true}
	l := asleep(t, override).pass(time.Second).event(answer).event(machine.Knocked{Service: ssh, Source: client}).want(machine.Settling)
	l.behindCard(time.Second, false).want(machine.Settling).wantQuestions(true)
	l.behindCard(4*time.Second, false).want(machine.Waking)
	// Started by hand, it takes him in at once.
	l = asleep(t, override).pass(time.Second).event(answer).event(machine.Knocked{Service: ssh, Source: client})
	l.behindCard(10*time.Millisecond, true).want(machine.Arriving)
}

// TestKnownCardSaysNothing in any state.
func TestKnownCardSaysNothing(t *testing.T) {
	l := known(t).event(machine.Heard{Addr: ip4, InUse: true, Answer: true}).want(machine.Asleep).wantActions()

	l.event(machine.Knocked{Service: ssh, Source: client}).want(machine.Waking).behindCard(14*time.Second, false).want(machine.Waking)
	if n := l.questions(); n < 100 {
		t.Errorf("looked for with %d questions", n)
	}
	l.event(machine.Heard{Addr: ip4}).want(machine.Arriving).forget()
	l.behindCard(2900*time.Millisecond, false).want(machine.Arriving).wantQuestions(true)
	l.behindCard(200*time.Millisecond, false).want(machine.Waking).reason(machine.Arriving, machine.Waking, machine.WhyFirmware)

	// What it does not say of an address, the LAN does not hear.
	l.event(machine.Heard{Addr: ip4, InUse: true}).want(machine.Arriving).forget().event(machine.ServicesReady{}).want(machine.Awake)
	l.wantActions(releaseBoth, machine.Announce{Addrs: both[:1]}, machine.WakeEnded{Boot: 17100 * time.Millisecond, Ready: 17100 * time.Millisecond})
	l.behindCard(time.Second, false).wantQuestions(true)
	l.event(machine.Heard{Addr: ip6, InUse: true, Answer: true}).wantActions()
	l.event(machine.Heard{Addr: ip6, InUse: true}).wantActions(machine.Announce{Addrs: both[1:]})
}

// TestPauseInTheShutdownBehindACard: the vigil does not believe its answers.
func TestPauseInTheShutdownBehindACard(t *testing.T) {
	l := known(t).event(machine.Registered{Spec: spec()}).behindCard(3*time.Second, false).want(machine.Asleep)
	for range 5 {
		l.event(machine.Heard{Addr: ip4, InUse: true}).pass(time.Second)
	}
	l.want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyStarted)
	l.behindCard(10*time.Second, false).want(machine.Asleep).reason(machine.Awake, machine.Settling, machine.WhySilentAgain)

	// A card that nobody knows of is found at the end of the vigil, and a machine
	// that runs is not bothered any more.
	for running, want := range map[bool]machine.State{false: machine.Asleep, true: machine.Awake} {
		l := asleep(t, override)
		for range 5 {
			l.event(machine.Heard{Addr: ip4, InUse: true}).pass(time.Second)
		}
		l.want(machine.Awake).forget().behindCard(9*time.Minute, running).wantQuestions(false)
		l.behindCard(2*time.Minute, running).want(want).wantQuestions(true)
		if running && l.m.Watched() {
			t.Error("it is watched for ever")
		}
	}
}

// TestCardIsKnownAfterARestart, and the sleep goes on.
func TestCardIsKnownAfterARestart(t *testing.T) {
	l := known(t).pass(time.Hour)
	mem, seen := l.m.Memory(), l.now
	if !mem.Card {
		t.Fatal("it is not in the machine's memory")
	}
	p := policy()
	p.OverrideOffload = true
	l.now = l.now.Add(time.Minute)
	l.m = machine.Resume(mem, p, seen, l.now)
	l.behindCard(899*time.Millisecond, false).want(machine.Settling).wantQuestions(true)
	l.behindCard(time.Millisecond, false).want(machine.Asleep).wantActions(machine.Claim{Addrs: both, Unsaid: 3 * time.Second})
	status := l.m.Status()
	if got := status.Slept(l.now); got < 61*time.Minute {
		t.Errorf("slept %v", got)
	}
	// It was started meanwhile, and answers the first question.
	l.m = machine.Resume(mem, p, seen, l.now)
	for range 8 {
		l.behindCard(500*time.Millisecond, true)
	}
	l.want(machine.Awake)
}

// TestOverrideIsTakenBack: from then on its card is believed, and it is let go of.
func TestOverrideIsTakenBack(t *testing.T) {
	l := known(t).event(machine.PolicyChanged{Policy: policy()}).want(machine.Asleep).wantActions()
	l.event(machine.Heard{Addr: ip4, InUse: true, Answer: true}).want(machine.Settling)
	l.behindCard(time.Minute, false).want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyOnlyCard)
	if got := l.m.Status().Tally.ExternalStarts; got != 0 {
		t.Errorf("%d external starts", got)
	}
}
