package machine_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"nightporter/internal/machine"
)

func agentlessSpec() machine.Spec {
	s := spec()
	s.Agentless = true
	return s
}

// watched is a life of an agentless machine that answered a moment ago, so that
// it is asked again in 5 s.
func watched(t *testing.T, change func(*machine.Policy)) *life {
	t.Helper()
	p := policy()
	if change != nil {
		change(&p)
	}
	now := time.Date(2026, 11, 22, 22, 0, 0, 0, time.UTC)
	l := &life{t: t, m: machine.New(agentlessSpec(), p, now), now: now}
	return l.event(machine.Entrusted{Agentless: true}).event(machine.Heard{Addr: ip4, InUse: true}).want(machine.Awake).forget()
}

// probes returns when the machine is asked in the time to come, and whether
// everybody else is asked too. It answers none.
func (l *life) probes(d time.Duration) (at []time.Duration, everybody []bool) {
	l.t.Helper()
	began, end := l.now, l.now.Add(d)
	for due := l.m.Next(); !due.IsZero() && !due.After(end); due = l.m.Next() {
		l.now = due
		before := len(l.log)
		l.event(machine.Ticked{})
		for _, a := range l.log[before:] {
			if p, ok := a.(machine.Probe); ok {
				at, everybody = append(at, due.Sub(began)), append(everybody, p.Broadcast)
			}
		}
	}
	l.now = end
	return at, everybody
}

// unprobedFor lets time go by in which no question can be sent. The machine stays
// in the state.
func (l *life) unprobedFor(d time.Duration, state machine.State) *life {
	l.t.Helper()
	for end := l.now.Add(d); l.now.Before(end); l.now = l.m.Next() {
		if asked(l.m.Handle(l.now, machine.Ticked{})) {
			l.event(machine.Unprobed{})
		}
		l.want(state)
	}
	return l
}

// TestAgentlessFallsSilent: probe.misses questions are not answered, and then as
// many more before it is claimed, of which the last goes to everybody.
func TestAgentlessFallsSilent(t *testing.T) {
	l := watched(t, nil)
	at, everybody := l.probes(10999 * time.Millisecond)
	const s = time.Second
	if d := cmp.Diff([]time.Duration{5 * s, 6 * s, 7 * s, 8 * s, 9 * s, 10 * s}, at); d != "" {
		t.Errorf("asked at (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]bool{false, false, false, false, false, true}, everybody); d != "" {
		t.Errorf("everybody was asked (-want +got):\n%s", d)
	}
	l.want(machine.Settling).reason(machine.Awake, machine.Settling, machine.WhyUnanswered).wantActions()
	l.pass(time.Millisecond).want(machine.Asleep).reason(machine.Settling, machine.Asleep, machine.WhySilent).
		wantActions(machine.Claim{Addrs: both})
	l.event(machine.Knocked{Service: ssh, Source: client}).want(machine.Waking)
}

// TestAgentlessIsAskedOnlyWhenItIsSilent: who speaks anyway is not asked, and
// only what it says by ARP or neighbour discovery has to be seen.
func TestAgentlessIsAskedOnlyWhenItIsSilent(t *testing.T) {
	l := watched(t, nil)
	for range 10 {
		l.pass(4900 * time.Millisecond).event(machine.Heard{})
	}
	if len(l.log) != 0 {
		t.Errorf("asked although it spoke: %v", l.log)
	}
	for range 100 {
		l.pass(5 * time.Second).event(machine.Heard{Addr: ip4, InUse: true})
	}
	if l.want(machine.Awake); l.m.Watched() || !l.m.Attended() {
		t.Errorf("watched: %t, attended: %t", l.m.Watched(), l.m.Attended())
	}
	if len(l.log) != 100 {
		t.Errorf("asked %d times in 100 pauses", len(l.log))
	}
}

// TestAgentlessIsThereAfterAll: whatever it says while it settles, it is awake,
// and that was neither a start nor a failure to fall asleep.
func TestAgentlessIsThereAfterAll(t *testing.T) {
	for _, word := range []machine.Heard{{}, {Addr: ip4}, {Addr: ip6, InUse: true}} {
		l := watched(t, nil).pass(10900*time.Millisecond).want(machine.Settling).event(word).
			reason(machine.Settling, machine.Awake, machine.WhyThere).wantActions()
		if got := l.m.Status().Tally; got.SettleTimeouts != 0 || got.ExternalStarts != 0 {
			t.Errorf("tally %+v", got)
		}
		if at, _ := l.probes(5 * time.Second); !slices.Equal(at, []time.Duration{5 * time.Second}) {
			t.Errorf("asked after %v", at)
		}
	}
}

// TestAgentlessReboots: it was asleep for us, so it is a start by hand, and it
// may test its addresses in peace.
func TestAgentlessReboots(t *testing.T) {
	l := watched(t, nil).pass(20 * time.Second).want(machine.Asleep).forget()
	l.event(machine.Heard{Addr: ip4}).wantActions(releaseBoth)
	l.pass(2 * time.Second).event(machine.Heard{Addr: ip4, InUse: true}).event(machine.Heard{Addr: ip6, InUse: true}).forget()
	for range 4 {
		l.pass(time.Second).event(machine.Heard{Addr: ip4, InUse: true})
	}
	l.want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyStarted)
	if got := l.m.Status().Tally; got.ExternalStarts != 1 || got.Slept != 9*time.Second {
		t.Errorf("tally %+v", got)
	}
	l.pass(20 * time.Second).want(machine.Asleep) // and it goes on
}

// TestAgentlessPausesInItsStart: with quick probes its addresses are not claimed
// in the pause of a start that was not noticed.
func TestAgentlessPausesInItsStart(t *testing.T) {
	quick := func(p *machine.Policy) { p.ProbeInterval = 100 * time.Millisecond }
	l := watched(t, quick).pass(2999 * time.Millisecond).want(machine.Settling)
	l.event(machine.Heard{Addr: ip6}).want(machine.Awake).pass(2999 * time.Millisecond).want(machine.Settling)
	l.event(machine.Heard{Addr: ip6, InUse: true}).want(machine.Awake).wantActions()
	l.pass(2999 * time.Millisecond).want(machine.Settling).pass(100 * time.Millisecond).want(machine.Asleep)
}

// TestAgentlessCannotBeAsked: that our own link is out is not its silence, for
// however long.
func TestAgentlessCannotBeAsked(t *testing.T) {
	for _, state := range []machine.State{machine.Awake, machine.Settling} {
		l := watched(t, nil)
		if state == machine.Settling {
			l.pass(9 * time.Second)
		}
		l.unprobedFor(time.Hour, state).pass(2999 * time.Millisecond).want(state)
		l.pass(11 * time.Second).want(machine.Asleep)
		if got := l.m.Status().Tally; got.SettleTimeouts != 0 || got.ExternalStarts != 0 {
			t.Errorf("tally %+v", got)
		}
	}
}

// TestSleepsOnWhileItCannotBeAsked: neither does an outage end a sleep that the
// porter has to look for after its restart.
func TestSleepsOnWhileItCannotBeAsked(t *testing.T) {
	l := asleep(t, nil).pass(time.Hour).away(time.Minute)
	l.unprobedFor(time.Hour, machine.Settling).pass(time.Second).want(machine.Asleep)
	status := l.m.Status()
	if got := status.Slept(l.now); got < 2*time.Hour || status.Tally.ExternalStarts+status.Tally.SettleTimeouts != 0 {
		t.Errorf("slept %v, tally %+v", got, status.Tally)
	}
}

// TestWakeOfAnAgentlessMachineThatSeemsAwake: it is asked at once, and woken in
// earnest if it sleeps.
func TestWakeOfAnAgentlessMachineThatSeemsAwake(t *testing.T) {
	l := watched(t, nil).pass(time.Second).event(machine.WakeAsked{Trigger: machine.ByAPI, By: "test"}).
		want(machine.Awake).wantActions(machine.SendMagic{Attempt: 1})
	l.pass(6 * time.Second).want(machine.Waking)

	up := watched(t, nil).pass(time.Second).event(machine.WakeAsked{Trigger: machine.ByAPI, By: "test"}).pass(0).
		event(machine.Heard{Addr: ip4, InUse: true}).forget()
	up.pass(30 * time.Second).want(machine.Asleep) // the wish was fulfilled before
}

// TestAgentlessThatRegisters settles like others, and is watched again when it
// has started.
func TestAgentlessThatRegisters(t *testing.T) {
	l := watched(t, nil).event(machine.Registered{Spec: agentlessSpec()}).want(machine.Settling)
	l.pass(2900 * time.Millisecond).event(machine.Heard{Addr: ip4}).want(machine.Settling)
	l.pass(4 * time.Second).want(machine.Asleep).event(machine.Knocked{Service: ssh, Source: client})
	l.pass(time.Second).event(machine.Heard{Addr: ip4, InUse: true}).event(machine.ServicesReady{}).want(machine.Awake)
	l.pass(40 * time.Second).want(machine.Asleep)
}

// TestFailedWakeOfAnAgentlessMachine leaves it claimed, and to be knocked at.
func TestFailedWakeOfAnAgentlessMachine(t *testing.T) {
	l := watched(t, nil).pass(time.Minute).event(machine.Knocked{Service: ssh, Source: client}).pass(45 * time.Second).want(machine.Asleep)
	l.event(machine.Knocked{Service: ssh, Source: client}).want(machine.Waking)
}

func TestEntrusted(t *testing.T) {
	// Nobody looks after a machine that cannot be seen, or that is not agentless.
	for _, s := range []machine.Spec{spec(), agentlessSpec()} {
		if m := machine.New(s, policy(), time.Now()); !m.Next().IsZero() || m.Attended() {
			t.Errorf("agentless %t: attended before it can be seen", s.Agentless)
		}
	}
	l := watched(t, nil).event(machine.Entrusted{}).forget().pass(time.Minute).want(machine.Awake)
	if len(l.log) != 0 || l.m.Attended() || l.m.Spec().Agentless {
		t.Errorf("attended: %t, and %v", l.m.Attended(), l.log)
	}
	l.event(machine.Entrusted{Agentless: true}).pass(20 * time.Second).want(machine.Asleep)
	watched(t, nil).event(machine.Stopped{}).pass(time.Minute).want(machine.Awake).wantActions()
}

// TestAShorterPauseTakesEffect at once, where the next question is far away.
func TestAShorterPauseTakesEffect(t *testing.T) {
	l := watched(t, func(p *machine.Policy) { p.ProbeInterval = time.Hour })
	l.event(machine.PolicyChanged{Policy: policy()}).pass(12 * time.Second).want(machine.Asleep)
}

// TestQuestionsAreSpread: of a thousand machines that are watched from one moment
// on no 100 ms see more than three times their share.
func TestQuestionsAreSpread(t *testing.T) {
	now := time.Now()
	var slots [50]int
	for i := range 1000 {
		s := agentlessSpec()
		s.MAC = machine.MAC{2, 0x80, 0, 0, byte(i >> 8), byte(i)}
		m := machine.New(s, policy(), now)
		m.Handle(now, machine.Entrusted{Agentless: true})
		slots[m.Next().Sub(now)/(100*time.Millisecond)]++
	}
	if most := slices.Max(slots[:]); most > 3*1000/len(slots) {
		t.Errorf("up to %d questions in 100 ms: %v", most, slots)
	}
}

func TestAgentlessResumes(t *testing.T) {
	back := func(l *life) *life { return l.away(time.Minute).event(machine.Entrusted{Agentless: true}) }
	l := back(watched(t, nil)).want(machine.Awake).pass(20 * time.Second).want(machine.Asleep)

	// It is claimed again soon, and has slept all the time.
	back(l.pass(time.Hour)).pass(900 * time.Millisecond).want(machine.Asleep).wantActions(machine.Claim{Addrs: both, Unsaid: 3 * time.Second})
	if s := l.m.Status(); s.Slept(l.now) < time.Hour+time.Minute {
		t.Errorf("slept %v", s.Slept(l.now))
	}

	// Whose silence was in doubt is there with its first word.
	back(watched(t, nil).pass(9*time.Second).want(machine.Settling)).want(machine.Settling).pass(500*time.Millisecond).
		event(machine.Heard{}).want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyThere)
}

// TestAgentlessBehindACard that is known from a registration: while it runs its
// other answers have to be seen, and when only the card is left it is claimed.
func TestAgentlessBehindACard(t *testing.T) {
	l := watched(t, override).event(machine.Registered{Spec: agentlessSpec()}).behindCard(11*time.Minute, false).want(machine.Asleep)
	l.event(machine.Knocked{Service: ssh, Source: client}).event(machine.Heard{Addr: ip4, InUse: true}).event(machine.ServicesReady{}).forget()
	l.behindCard(10*time.Minute, true).want(machine.Awake)
	if !l.m.Watched() {
		t.Error("its answers to questions are not seen")
	}
	for _, a := range l.log {
		if m, moved := a.(machine.Moved); moved {
			t.Fatalf("%+v although it runs", m)
		}
	}
	l.forget().behindCard(20*time.Second, false).want(machine.Asleep).reason(machine.Settling, machine.Asleep, machine.WhyOnlyCard)
}

// TestAgentlessThatTheMagicPacketReached is not claimed while it may be testing
// its addresses.
func TestAgentlessThatTheMagicPacketReached(t *testing.T) {
	l := watched(t, func(p *machine.Policy) { p.ProbeInterval = 100 * time.Millisecond }).pass(2900 * time.Millisecond)
	l.want(machine.Settling).event(machine.WakeAsked{Trigger: machine.ByAPI, By: "test"}).pass(2999 * time.Millisecond).want(machine.Settling)

	l = watched(t, func(p *machine.Policy) { p.ProbeInterval = 600 * time.Millisecond }).pass(2900 * time.Millisecond)
	l.want(machine.Awake).event(machine.WakeAsked{Trigger: machine.ByAPI, By: "test"}).pass(2999 * time.Millisecond)
	if got := l.m.State(); got != machine.Awake && got != machine.Settling {
		t.Errorf("it is %v", got)
	}
}

func asked(actions []machine.Action) bool {
	return slices.ContainsFunc(actions, func(a machine.Action) bool { _, probe := a.(machine.Probe); return probe })
}

// unprobed: that a question cannot be sent moves nothing, and no silence before it
// counts.
func (mo *model) unprobed(t *rapid.T, now time.Time, m *machine.Machine) {
	if actions := m.Handle(now, machine.Unprobed{}); len(actions) != 0 {
		t.Fatalf("a question that was not sent leads to %v", actions)
	}
	if m.State() != machine.Waking {
		mo.lastHeard = now
	}
}
