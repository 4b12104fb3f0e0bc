package machine_test

import (
	"testing"
	"time"

	"nightporter/internal/machine"
)

func pause(l *life, d time.Duration) machine.Event {
	return machine.PauseRequested{Until: l.now.Add(d), By: "test"}
}

var resume = machine.ResumeRequested{By: "test"}

// wantLeftAlone: nothing was claimed, asked or woken since the last look.
func (l *life) wantLeftAlone() *life {
	l.t.Helper()
	if n := len(actions[machine.Probe](l)) + len(actions[machine.Recheck](l)) + len(actions[machine.Claim](l)) +
		len(actions[machine.SendMagic](l)) + len(actions[machine.WakeBegan](l)); n > 0 || len(l.m.Claimed()) > 0 {
		l.t.Fatalf("%d questions, claims or wakes in a pause, %v claimed; so far:\n%s", n, l.m.Claimed(), l.story())
	}
	return l.want(machine.Awake).forget()
}

// TestPauseGivesEverythingBack in any state, and the claims end in the usual way.
func TestPauseGivesEverythingBack(t *testing.T) {
	drop := machine.DropPackets{}
	for name, c := range map[string]struct {
		life *life
		do   []machine.Action // before PauseBegan
		hold machine.HoldMode
	}{
		"awake":    {awake(t, nil), []machine.Action{drop}, machine.AdmitAll},
		"settling": {newLife(t, nil).event(registered).forget(), []machine.Action{drop}, machine.AdmitAll},
		"asleep":   {asleep(t, nil), []machine.Action{drop, releaseBoth, announce4, announce6}, machine.AdmitAll},
		"waking":   {waking(t, nil), []machine.Action{drop, releaseBoth, announce4, announce6}, machine.AdmitAll},
		"arriving": {arriving(t, nil), []machine.Action{releaseBoth, announce4}, machine.AdmitAll},
	} {
		t.Run(name, func(t *testing.T) {
			l := c.life
			l.t = t
			until, from := l.now.Add(2*time.Hour), l.m.State()
			l.event(pause(l, 2*time.Hour)).want(machine.Awake)
			for _, h := range actions[machine.Hold](l) {
				if h.Mode != c.hold {
					t.Errorf("hold %v, want %v", h.Mode, c.hold)
				}
			}
			if name != "awake" {
				l.reason(from, machine.Awake, machine.WhyPaused)
			}
			l.wantActions(append(c.do, machine.PauseBegan{Until: until, By: "test"})...)
			if got := l.m.PausedUntil(); !got.Equal(until) {
				t.Errorf("paused until %v, want %v", got, until)
			}
			l.pass(time.Hour).wantLeftAlone()
			if guarded := l.m.Guarded(); len(guarded) > 0 {
				t.Errorf("%v are still guarded", guarded)
			}
			if got := l.m.LastWake().Outcome; got == machine.UnderWay {
				t.Error("the wake is under way")
			}
		})
	}
}

// TestNothingMovesAPausedMachine.
func TestNothingMovesAPausedMachine(t *testing.T) {
	for name, l := range map[string]*life{"slept": asleep(t, nil), "up": awake(t, nil)} {
		t.Run(name, func(t *testing.T) {
			l.t = t
			l.event(pause(l, 2*time.Hour)).pass(time.Minute).forget()
			for _, e := range []machine.Event{
				knockSSH, wakeAsked, machine.WakeRequested{Trigger: machine.ByAPI, Test: true}, registered, isHere, frame, tests(ip4), uses(ip4), data(ip4),
				answer(ip4), answer(ip6), machine.Visited{}, machine.ProbeFailed{}, machine.ReceptionLost{Until: l.now.Add(30 * time.Second)}, ready,
				conflict, machine.Contested{Addr: ip4, By: otherMAC}, waits(ip4), free(ip4), machine.Configured{Agentless: true, Permanent: true},
				machine.PolicyChanged{Policy: policy()}, machine.Renamed{Name: "nas"}, machine.Ticked{},
			} {
				l.event(e).wantLeftAlone().pass(time.Minute).wantLeftAlone()
			}
		})
	}
}

// TestPauseEndsByItself: the machine is asked, and claimed if it is off.
func TestPauseEndsByItself(t *testing.T) {
	l := asleep(t, nil).pass(time.Hour)
	l.event(pause(l, time.Hour)).pass(time.Hour - time.Millisecond).wantLeftAlone()
	l.pass(10*time.Second).want(machine.Asleep).reason(machine.Settling, machine.Asleep, machine.WhySilent)
	if ended := actions[machine.PauseEnded](l); len(ended) != 1 || ended[0].By != "" {
		t.Errorf("ended %v", ended)
	}
	s := l.m.Status()
	if slept := s.Slept(l.now); slept < time.Hour || slept > time.Hour+10*time.Second {
		t.Errorf("slept %v, want the hour before and some seconds", slept)
	}
	l.event(knockSSH).want(machine.Waking)
}

// TestPauseEndsAWakeThatIsToBe: the client is gone by its end.
func TestPauseEndsAWakeThatIsToBe(t *testing.T) {
	l := newLife(t, nil).event(registered, knockSSH).want(machine.Settling)
	l.event(pause(l, time.Hour)).pass(time.Hour + time.Minute).want(machine.Asleep)
	if n := len(actions[machine.WakeBegan](l)); n != 0 {
		t.Errorf("woken %d times", n)
	}
}

// TestPausedMachineIsUp at the end: it is taken for awake, and for no start by hand.
func TestPausedMachineIsUp(t *testing.T) {
	l := asleep(t, nil)
	l.event(pause(l, time.Hour)).pass(time.Minute).event(resume).forget()
	if due := l.m.Next(); !due.Equal(l.now) {
		t.Errorf("it is asked at %v, want %v", due, l.now)
	}
	l.up(time.Minute).want(machine.Awake)
	if got := l.tally(); got.ExternalStarts+got.SettleTimeouts != 0 || len(actions[machine.Moved](l)) != 0 {
		t.Errorf("tally %+v; so far:\n%s", got, l.story())
	}
	if len(actions[machine.Probe](l)) == 0 {
		t.Error("it was not asked")
	}
}

// TestUnwatchedMachineIsAskedAfterAPause, or it would never be claimed again.
func TestUnwatchedMachineIsAskedAfterAPause(t *testing.T) {
	l := asleep(t, unwatched)
	l.event(pause(l, time.Hour)).pass(time.Hour + 10*time.Second).want(machine.Asleep)
}

// TestFailuresAreOverAfterAPause: the next client wakes the machine.
func TestFailuresAreOverAfterAPause(t *testing.T) {
	l := asleep(t, func(p *machine.Policy) { p.WakeAttempts = 1 })
	for range 2 {
		l.event(knockSSH).pass(16 * time.Second)
	}
	l.want(machine.Asleep).event(knockSSH).want(machine.Asleep)
	l.event(pause(l, time.Minute), resume).pass(10 * time.Second).want(machine.Asleep).event(knockSSH).want(machine.Waking)
}

// TestRegistrationInAPauseWaits: it is taken, and counts after the pause.
func TestRegistrationInAPauseWaits(t *testing.T) {
	other := spec()
	other.Monitor = other.Monitor[:1]
	for name, e := range map[string]machine.Registered{"sleeps": {Spec: other}, "here": {Spec: other, Here: true}} {
		t.Run(name, func(t *testing.T) {
			l := asleep(t, nil)
			until := l.now.Add(time.Hour)
			l.event(pause(l, time.Hour)).pass(time.Minute).forget().event(e).want(machine.Awake)
			l.wantActions(machine.Deferred{Until: until})
			mem := l.m.Memory()
			if len(mem.Spec.Monitor) != 1 || !mem.Paused.Equal(until) || !mem.Registered.Equal(l.now) {
				t.Errorf("memory %+v", mem)
			}
			l.pass(time.Hour + 10*time.Second).want(machine.Asleep)
			if got := l.m.Claimed(); len(got) != 1 || got[0] != ip4 {
				t.Errorf("claimed %v", got)
			}
		})
	}
}

// TestPauseOverARestart goes on, or is over if its time has come meanwhile.
func TestPauseOverARestart(t *testing.T) {
	l := asleep(t, nil)
	l.event(pause(l, time.Hour)).pass(time.Minute).away(time.Minute).pass(50 * time.Minute).wantLeftAlone()
	l.pass(10 * time.Minute).want(machine.Asleep)

	l = asleep(t, nil)
	l.event(pause(l, time.Hour)).pass(time.Minute).away(2 * time.Hour).pass(10 * time.Second).want(machine.Asleep)
	if len(actions[machine.PauseEnded](l)) != 1 {
		t.Error("nothing tells that it is over")
	}
}

// TestPauseIsChanged by a later one, and ended once.
func TestPauseIsChanged(t *testing.T) {
	l := asleep(t, nil)
	l.event(pause(l, time.Minute), pause(l, time.Hour)).pass(30 * time.Minute).wantLeftAlone()
	l.event(resume, resume)
	if n := len(actions[machine.PauseEnded](l)); n != 1 {
		t.Errorf("ended %d times", n)
	}
}

// TestAddressUnderTestIsNotAnnouncedByAPause: any packet that says who has it would fail
// the test. It is not asked for either, and announced once it is used.
func TestAddressUnderTestIsNotAnnouncedByAPause(t *testing.T) {
	l := waking(t, nil).pass(s).event(tests(ip4)).want(machine.Arriving).forget()
	l.event(pause(l, time.Hour))
	if got := actions[machine.Announce](l); len(got) != 0 {
		t.Errorf("announced %v", got)
	}
	l.forget().pass(5 * time.Second).wantLeftAlone().event(uses(ip4)).wantActions(announce4)
}
