package machine_test

import (
	"testing"
	"time"

	"nightporter/internal/machine"
)

// moved is the machine with its IPv6 address gone.
func moved() machine.Spec {
	s := spec()
	s.Monitor = s.Monitor[:1]
	return s
}

func settling(t *testing.T, change func(*machine.Policy)) *life {
	t.Helper()
	return newLife(t, change).event(registered).pass(2 * s).forget()
}

func TestRegistrationIsWelcomeInEveryState(t *testing.T) {
	claim4 := machine.Claim{Addrs: only4}
	for _, start := range []struct {
		state machine.State
		life  func(*testing.T, func(*machine.Policy)) *life
		want  []machine.Action // until it is asleep again
	}{
		{machine.Awake, newLife, []machine.Action{claim4}},
		{machine.Settling, settling, []machine.Action{claim4}},
		{machine.Asleep, asleep, []machine.Action{releaseBoth, announce4, announce6, end6, claim4}},
		{machine.Waking, waking, []machine.Action{releaseBoth, announce4, announce6, end6, claim4, goesOn, firstMagic, machine.StopAnnouncing{Addrs: only4}}},
		{machine.Arriving, arriving, []machine.Action{machine.DropPackets{}, releaseBoth, announce4, end6, claim4}},
	} {
		t.Run(start.state.String(), func(t *testing.T) {
			l := start.life(t, nil).want(start.state)
			l.event(machine.Registered{Spec: moved()}).want(machine.Settling).reason(start.state, machine.Settling, machine.WhyRegistered)
			l.pass(3 * s).wantActions(start.want...)
			if s := l.m.Spec(); len(s.Monitor) != 1 {
				t.Errorf("spec %+v", s)
			}
		})
	}
}

// TestHereInEveryState: a machine that says that it is up is up, whatever it was
// taken for, and is watched.
func TestHereInEveryState(t *testing.T) {
	handOver := machine.CheckServices{Services: []machine.Service{ssh}}
	here := machine.Registered{Spec: moved(), Here: true}
	for _, start := range []struct {
		name  string
		life  *life
		want  []machine.Action
		state machine.State
		why   machine.Reason // empty: it does not move
		tally machine.Tally
	}{
		{"awake", newLife(t, nil), []machine.Action{machine.WatchBegan{}}, machine.Awake, "", machine.Tally{}},
		{"settling", settling(t, nil), nil, machine.Awake, machine.WhyStillUp, machine.Tally{}},
		{"unanswered", agentless(t, nil).pass(14 * s).want(machine.Settling).forget(), nil, machine.Awake, machine.WhyStillUp, machine.Tally{}},
		{"spoke", asleep(t, nil).pass(time.Hour).event(frame).forget(),
			[]machine.Action{end6Now, end6, releaseNow4}, machine.Awake, machine.WhyStarted, machine.Tally{ExternalStarts: 1, Slept: time.Hour}},
		{"resumed", asleep(t, nil).pass(time.Hour).away(time.Minute), nil, machine.Awake, machine.WhyStarted, machine.Tally{ExternalStarts: 1, Slept: time.Hour}},
		{"asleep", asleep(t, nil).pass(time.Hour),
			[]machine.Action{end6Now, end6, releaseNow4}, machine.Awake, machine.WhyStarted, machine.Tally{ExternalStarts: 1, Slept: time.Hour}},
		{"waking", waking(t, nil), []machine.Action{end6Now, end6, machine.StopAnnouncing{Addrs: only4}, machine.Yield{Addrs: only4}, handOver}, machine.Arriving, machine.WhyArrived, machine.Tally{}},
		{"arriving", arriving(t, nil), []machine.Action{end6Now, end6, handOver}, machine.Arriving, "", machine.Tally{}},
	} {
		t.Run(start.name, func(t *testing.T) {
			l := start.life
			l.t = t
			from := l.m.State()
			if l.event(here).want(start.state); start.why != "" {
				l.reason(from, start.state, start.why)
			}
			l.wantActions(start.want...)
			got := l.tally()
			if got.ExternalStarts != start.tally.ExternalStarts || got.SettleTimeouts != 0 || got.Slept != start.tally.Slept {
				t.Errorf("tally %+v", got)
			}
			if l.m.Next().IsZero() {
				t.Error("not watched")
			}
			// It really is: its silence is noticed, and its clients are served.
			if l.state(machine.Arriving) {
				l.as(at(ip4), s).event(ready)
			}
			l.as(at(ip4), 5*s).want(machine.Awake).pass(20 * s).want(machine.Asleep)
		})
	}
	// Held off: no magic packet was sent, so it did not start because of one.
	l := asleep(t, func(p *machine.Policy) { p.Holdoff = time.Minute }).event(knockSSH).want(machine.Waking).event(isHere).want(machine.Arriving)
	if l.up(s).event(ready).want(machine.Awake); l.tally().ExternalStarts != 1 || l.tally().Attempts != 0 {
		t.Errorf("tally %+v", l.tally())
	}
}

var (
	end6Now     = machine.Release{Addrs: only6}
	releaseNow4 = machine.Release{Addrs: only4}
)

func (l *life) state(s machine.State) bool { return l.m.State() == s }

// TestSleepOfARegistrationIsCountedWithTheOldPower.
func TestSleepIsCountedWithThePowerOfBefore(t *testing.T) {
	other := spec()
	other.IdleWatts = 1002
	l := asleep(t, nil).pass(time.Hour).event(machine.Registered{Spec: other})
	if got := l.tally(); got.Slept != time.Hour || got.SavedJoules != 180_000 {
		t.Errorf("tally %+v", got)
	}
}

// TestWokenAndAsleepAgain: one that sleeps again at once is not woken anew for the
// same knock. One that had not started yet is.
func TestWokenAndAsleepAgain(t *testing.T) {
	arriving(t, nil).event(registered).pass(time.Minute).want(machine.Asleep)
	waking(t, nil).event(registered).pass(4 * s).want(machine.Waking)
}

// TestARegistrationAnnouncesNothingUnderTest: it may come over one address while
// the other is still tested (RFC 4862 section 5.4.4).
func TestARegistrationAnnouncesNothingUnderTest(t *testing.T) {
	asleep(t, nil).event(tests(ip6), registered).
		wantActions(quietBoth, machine.Yield{Addrs: only6}, releaseBoth, announce4)
	arriving(t, nil).event(tests(ip6), registered).wantActions(machine.DropPackets{}, releaseBoth, announce4)
}

// TestHasRegistered outlives a restart.
func TestHasRegistered(t *testing.T) {
	l := newLife(t, nil)
	if l.m.HasRegistered() {
		t.Error("a new machine has registered")
	}
	if l.event(isHere).away(time.Hour); !l.m.HasRegistered() {
		t.Error("forgotten")
	}
}
