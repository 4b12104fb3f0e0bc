package machine_test

import (
	"slices"
	"testing"
	"time"

	"nightporter/internal/machine"
)

// TestTransitions goes through the table of the design, and no move is missing.
func TestTransitions(t *testing.T) {
	const (
		awakeS, settlingS, asleepS, wakingS, arrivingS = machine.Awake, machine.Settling, machine.Asleep, machine.Waking, machine.Arriving
	)
	holdoff := func(p *machine.Policy) { p.Holdoff = time.Minute }
	oneAttempt := func(p *machine.Policy) { p.WakeAttempts = 1 }
	for _, c := range []struct {
		name     string
		life     *life
		do       func(*life)
		from, to machine.State
		why      machine.Reason
	}{
		{"it says that it will sleep", newLife(t, nil), func(l *life) { l.event(registered) }, awakeS, settlingS, machine.WhyRegistered},
		{"it leaves questions unanswered", awake(t, nil), func(l *life) { l.pass(14 * s) }, awakeS, settlingS, machine.WhyUnanswered},
		{"it is off", newLife(t, nil).event(registered), func(l *life) { l.pass(3 * s) }, settlingS, asleepS, machine.WhySilent},
		{"only its card answers", newLife(t, override).event(registered), func(l *life) { l.as(onlyCard, 11*time.Minute) }, settlingS, asleepS, machine.WhyOnlyNIC},
		{"it answers after all", agentless(t, nil).pass(14 * s), func(l *life) { l.up(s) }, settlingS, awakeS, machine.WhyStillUp},
		{"it never falls silent", newLife(t, nil).event(registered), func(l *life) { l.up(11 * time.Minute) }, settlingS, awakeS, machine.WhyNeverSilent},
		{"only its card answers, and that counts", newLife(t, nil).event(registered), func(l *life) { l.as(onlyCard, 11*time.Minute) }, settlingS, awakeS, machine.WhyOnlyNIC},
		{"it was started", asleep(t, nil).event(frame), func(l *life) { l.up(0) }, settlingS, awakeS, machine.WhyStarted},
		{"it was started, and a client waits", asleep(t, nil).event(frame, knockSSH), func(l *life) { l.up(0) }, settlingS, arrivingS, machine.WhyArrived},
		{"a frame of its own", asleep(t, nil), func(l *life) { l.event(frame) }, asleepS, settlingS, machine.WhySpoke},
		{"it registers in its sleep", asleep(t, nil), func(l *life) { l.event(registered) }, asleepS, settlingS, machine.WhyRegistered},
		{"it says that it is up", asleep(t, nil), func(l *life) { l.event(isHere) }, asleepS, awakeS, machine.WhyStarted},
		{"a knock", asleep(t, nil), func(l *life) { l.event(knockSSH) }, asleepS, wakingS, machine.WhyKnock},
		{"a wake asked for", asleep(t, nil), func(l *life) { l.event(wakeAsked) }, asleepS, wakingS, machine.WhyRequested},
		{"it answers", waking(t, nil).pass(s), func(l *life) { l.event(answer(ip6)) }, wakingS, arrivingS, machine.WhyArrived},
		{"it tests an address", waking(t, nil).pass(s), func(l *life) { l.event(tests(ip6)) }, wakingS, arrivingS, machine.WhyArrived},
		{"it speaks before the first magic packet", asleep(t, holdoff).event(knockSSH), func(l *life) { l.event(frame) }, wakingS, settlingS, machine.WhySpoke},
		{"it registers while it is woken", waking(t, nil), func(l *life) { l.event(registered) }, wakingS, settlingS, machine.WhyRegistered},
		{"the attempts are used up", waking(t, oneAttempt), func(l *life) { l.pass(15 * s) }, wakingS, asleepS, machine.WhyAttemptsGone},
		{"it is up elsewhere", waking(t, oneAttempt), func(l *life) { l.event(uses(away4)).as(at(away4), 15*s) }, wakingS, awakeS, machine.WhyElsewhere},
		{"its services are ready", arriving(t, nil), func(l *life) { l.event(ready) }, arrivingS, awakeS, machine.WhyReady},
		{"they are not in time", arriving(t, nil), func(l *life) { l.up(61 * s) }, arrivingS, awakeS, machine.WhyNotReady},
		{"it is off again", arriving(t, nil), func(l *life) { l.pass(4 * s) }, arrivingS, wakingS, machine.WhyFirmware},
		{"it registers while it arrives", arriving(t, nil), func(l *life) { l.event(registered) }, arrivingS, settlingS, machine.WhyRegistered},
		{"it never started", asleep(t, nil).event(tests(ip4), knockSSH), func(l *life) { l.pass(4 * s) }, arrivingS, asleepS, machine.WhySilent},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := c.life
			l.t = t
			l.want(c.from).forget()
			c.do(l)
			l.reason(c.from, c.to, c.why)
		})
	}
}

// TestWhatHoldsInEachState is the table of the package.
func TestWhatHoldsInEachState(t *testing.T) {
	const watchPause = 10 * s
	for _, c := range []struct {
		state     machine.State
		life      *life // its last actions say what the porter does
		hold      machine.HoldMode
		attention machine.Attention
		four      machine.Standing
		pace      time.Duration // between two questions; 0: none
	}{
		{machine.Awake, newLife(t, nil), machine.Ignore, machine.ObserveNothing, machine.Own, 0},
		{machine.Awake, newLife(t, nil).event(isHere).up(20 * s), machine.AdmitAll, machine.ObserveNeighbor, machine.Own, watchPause},
		{machine.Awake, keep(waking(t, nil)).pass(s).event(answer(ip4), ready), machine.AdmitAll, machine.ObserveAll, machine.Returned, 100 * time.Millisecond},
		{machine.Settling, newLife(t, nil).event(registered), machine.HoldAll, machine.ObserveAll, machine.Own, s},
		{machine.Settling, keep(asleep(t, nil)).event(frame), machine.HoldAll, machine.ObserveAll, machine.Claimed, s},
		{machine.Asleep, keep(asleep(t, nil)), machine.HoldAll, machine.ObserveAll, machine.Claimed, 0},
		{machine.Waking, keep(waking(t, nil)), machine.HoldAll, machine.ObserveAll, machine.Claimed, 20 * time.Millisecond},
		{machine.Arriving, keep(waking(t, nil)).pass(s).event(answer(ip4)), machine.HoldUnready, machine.ObserveAll, machine.Claimed, 100 * time.Millisecond},
	} {
		t.Run(c.state.String(), func(t *testing.T) {
			l := c.life
			l.t = t
			l.want(c.state)
			hold, observe := machine.Ignore, machine.Observe{}
			if all := actions[machine.Hold](l); len(all) > 0 {
				hold = all[len(all)-1].Mode
			}
			if all := actions[machine.Observe](l); len(all) > 0 {
				observe = all[len(all)-1]
			}
			if hold != c.hold || observe.Attention != c.attention {
				t.Errorf("hold %v, attention %v; want %v, %v", hold, observe.Attention, c.hold, c.attention)
			}
			if got := l.m.Status().Addresses[0].Standing; got != c.four {
				t.Errorf("the address is %v, want %v", got, c.four)
			}
			asked := 0
			var last, pace time.Duration
			l.as(func(p machine.Probe) []machine.Event {
				at := time.Duration(l.now.UnixNano())
				if asked++; asked > 1 && asked < 5 {
					pace = max(pace, at-last)
				}
				last = at
				if c.state == machine.Awake {
					return at4only(p)
				}
				return nil
			}, 3*watchPause)
			if c.pace != 0 && pace != c.pace || c.pace == 0 && asked > 0 {
				t.Errorf("asked %d times, %v after each other; want %v", asked, pace, c.pace)
			}
		})
	}
}

// keep begins a life anew whose log was forgotten: the same events, all its actions.
func keep(l *life) *life {
	again := newLife(l.t, nil).event(registered).pass(3 * s)
	if l.m.State() == machine.Waking {
		again.event(knockSSH)
	}
	return again
}

func at4only(p machine.Probe) []machine.Event { return at(ip4)(p) }

func TestStopReleases(t *testing.T) {
	stopped, wake := machine.Stopped{}, machine.Stopped{Wake: true}
	given := []machine.Action{releaseBoth, announce4, announce6, end4, end6}
	asleep(t, nil).event(stopped).wantActions(given...)
	asleep(t, nil).event(wake).wantActions(append(given, firstMagic)...)
	waking(t, nil).event(wake).wantActions(append(given, firstMagic)...)
	newLife(t, nil).event(registered, wake).wantActions(firstMagic)
	waking(t, nil).pass(s).event(tests(ip4)).forget().event(stopped).wantActions(releaseBoth, end4, end6)
	arriving(t, nil).event(stopped).wantActions(releaseBoth, announce4, end4, end6)
	arriving(t, nil).event(uses(ip6), stopped).wantActions(releaseBoth, announce4, announce6, end4, end6)
	newLife(t, nil).event(wake).wantActions()
	// An address that the machine tests is not announced.
	asleep(t, nil).event(tests(ip6)).forget().event(stopped).wantActions(releaseBoth, announce4, end4, end6)
	// What is held goes out, and nothing is kept any more.
	for name, l := range map[string]*life{"arriving": arriving(t, nil), "returned": arriving(t, nil).event(ready).forget()} {
		l.event(stopped)
		if d := actions[machine.Hold](l); len(d) != 2 || d[0].Mode != machine.AdmitAll || d[1].Mode != machine.Ignore {
			t.Errorf("%s: %v", name, d)
		}
	}
}

func TestPolicyChangeTakesEffectWithoutAMove(t *testing.T) {
	p := policy()
	p.WakeAttempts = 1
	l := waking(t, nil).event(machine.PolicyChanged{Policy: p}).want(machine.Waking).wantActions()
	l.pass(15*s).want(machine.Asleep).wantActions(machine.WakeFailed{Trigger: machine.ByTCP, Attempts: 1}, machine.DropPackets{})
}

func TestEarlyTicksDoNothing(t *testing.T) {
	l := newLife(t, nil).event(registered, machine.Ticked{}).forget()
	for range 10 {
		l.event(machine.Ticked{})
	}
	if len(l.log) != 0 {
		t.Errorf("early ticks led to %v", l.log)
	}
}

// TestTheMagicPacketComesFirst: a record that is written before it would delay it.
func TestTheMagicPacketComesFirst(t *testing.T) {
	l := asleep(t, nil).event(knockSSH)
	magic := slices.IndexFunc(l.log, func(a machine.Action) bool { _, ok := a.(machine.SendMagic); return ok })
	persist := slices.IndexFunc(l.log, func(a machine.Action) bool { _, ok := a.(machine.Persist); return ok })
	if magic < 0 || persist != len(l.log)-1 {
		t.Errorf("magic packet at %d, record at %d of %d actions", magic, persist, len(l.log))
	}
	// A knock that wakes nothing is counted all the same.
	l = waking(t, nil).event(knockGame)
	if n := len(actions[machine.Persist](l)); n != 1 {
		t.Errorf("%d records of a knock", n)
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
