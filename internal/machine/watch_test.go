package machine_test

import (
	"slices"
	"testing"
	"time"

	"nightporter/internal/ether"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/machine"
)

// probes returns when the machine is asked in the time to come, and whether all
// other hosts are asked too. It answers none.
func (l *life) probes(d time.Duration) (at []time.Duration, broadcast []bool) {
	l.t.Helper()
	began := l.now
	l.as(func(p machine.Probe) []machine.Event {
		at, broadcast = append(at, l.now.Sub(began)), append(broadcast, p.Broadcast)
		return nil
	}, d)
	return at, broadcast
}

const s = time.Second

// TestWatchedFallsSilent: probe.misses questions are not answered, and then as many
// more before it is claimed, of which the last goes to all hosts. One rule for all.
func TestWatchedFallsSilent(t *testing.T) {
	for name, l := range map[string]*life{
		"agentless": agentless(t, nil), "registered": awake(t, nil), "here": newLife(t, nil).event(isHere).up(11 * s),
	} {
		t.Run(name, func(t *testing.T) {
			l.t = t
			next := l.m.Next().Sub(l.now)
			at, broadcast := l.forget().probes(next + 6*s - 1)
			if d := cmp.Diff([]time.Duration{next, next + s, next + 2*s, next + 3*s, next + 4*s, next + 5*s}, at); d != "" {
				t.Errorf("asked at (-want +got):\n%s", d)
			}
			if d := cmp.Diff([]bool{false, false, false, false, false, true}, broadcast); d != "" {
				t.Errorf("all hosts were asked (-want +got):\n%s", d)
			}
			l.want(machine.Settling).reason(machine.Awake, machine.Settling, machine.WhyUnanswered).wantActions()
			l.pass(1).want(machine.Asleep).reason(machine.Settling, machine.Asleep, machine.WhySilent).wantActions(claimBoth)
			l.event(knockSSH).want(machine.Waking)
		})
	}
}

// TestWatchedIsAskedNowAndThen: every watch.interval while it answers. Frames are
// no answers, and ARP and neighbor discovery are all that has to be seen.
func TestWatchedIsAskedNowAndThen(t *testing.T) {
	l := agentless(t, nil)
	for range 1000 {
		l.up(s).event(data(ip4))
	}
	if n := len(actions[machine.Probe](l)); n != 100 {
		t.Errorf("asked %d times in 100 pauses", n)
	}
	for _, o := range actions[machine.Observe](l.want(machine.Awake)) {
		if o.Attention == machine.ObserveAll {
			t.Errorf("%+v", o)
		}
	}
}

// TestALossyNetworkIsNoSleep: five questions in a row may go unanswered.
func TestALossyNetworkIsNoSleep(t *testing.T) {
	l := agentless(t, nil).pass(14500 * time.Millisecond).want(machine.Settling).up(time.Second)
	l.want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyStillUp).wantActions()
	if got := l.tally(); got.SettleTimeouts != 0 || got.ExternalStarts != 0 {
		t.Errorf("tally %+v", got)
	}
	// The watch goes on, each machine at its own moment.
	if at, _ := l.probes(10 * s); len(at) == 0 {
		t.Error("not asked any more")
	}
}

// TestCrashIsNoticed: a machine that dies without a word is claimed within 20 s of its
// last answer.
func TestCrashIsNoticed(t *testing.T) {
	for d := range 20 {
		awake(t, nil).up(time.Duration(d) * 997 * time.Millisecond).pass(20 * s).want(machine.Asleep)
	}
}

// TestAwakeForAMoment: its own timer wakes it for a moment, and
// it sleeps again without a word, long after it registered.
func TestAwakeForAMoment(t *testing.T) {
	for _, up := range []time.Duration{s, 8 * s, 30 * s, 5 * time.Minute} {
		l := asleep(t, nil).pass(time.Hour).event(tests(ip4)).pass(2 * s).event(uses(ip4)).up(up).want(machine.Awake)
		l.pass(20 * s).want(machine.Asleep)
		if got := l.m.Claimed(); !slices.Equal(got, both) {
			t.Errorf("up for %v: claimed %v", up, got)
		}
		l.event(knockSSH).want(machine.Waking)
	}
}

// TestCannotBeAsked: that our own link is out is not its silence, for however long.
func TestCannotBeAsked(t *testing.T) {
	for _, state := range []machine.State{machine.Awake, machine.Settling} {
		l := agentless(t, nil)
		if state == machine.Settling {
			l.pass(14 * s)
		}
		l.want(state).as(cut, time.Hour).want(state).pass(2 * s).want(state)
		l.pass(20 * s).want(machine.Asleep)
		if got := l.tally(); got.SettleTimeouts != 0 || got.ExternalStarts != 0 {
			t.Errorf("tally %+v", got)
		}
	}
}

// TestDeafened: after a start or an outage of ours the silence of
// a machine that was awake proves nothing for a while. Then it is claimed soon.
func TestDeafened(t *testing.T) {
	for name, l := range map[string]*life{"awake": agentless(t, nil), "settling": agentless(t, nil).pass(14 * s), "back": agentless(t, nil).away(time.Hour)} {
		t.Run(name, func(t *testing.T) {
			l.t = t
			before := l.m.State()
			deaf := machine.ReceptionLost{Until: l.now.Add(30 * s)}
			l.event(deaf).pass(30 * s).want(before).pass(20 * s).want(machine.Asleep)
		})
	}
	// One that answers meanwhile is not disturbed.
	l := agentless(t, nil)
	l.event(machine.ReceptionLost{Until: l.now.Add(30 * s)}).up(time.Hour).want(machine.Awake).wantActions()
	// One that said that it sleeps is believed.
	l = newLife(t, nil)
	l.event(machine.ReceptionLost{Until: l.now.Add(30 * s)}).event(registered).pass(3 * s).want(machine.Asleep)
	// One that slept is asked at once, and gives nothing up unless it answers.
	l = asleep(t, nil).pass(time.Hour)
	deaf := machine.ReceptionLost{Until: l.now.Add(30 * s)}
	if l.event(deaf); len(actions[machine.Probe](l)) != 1 {
		t.Error("not asked")
	}
	l.pass(time.Minute).want(machine.Asleep).wantActions()
	l.event(deaf, answer(ip4)).want(machine.Awake).reason(machine.Asleep, machine.Awake, machine.WhyStarted)
}

// TestAClaimAfterAnOutageIsDoubtful: nothing but its silence says that the machine is
// off, and our own network may have kept that to itself. It is asked on for a while,
// and at once when traffic comes for it.
func TestAClaimAfterAnOutageIsDoubtful(t *testing.T) {
	claimed := func() *life {
		l := agentless(t, nil)
		return l.event(machine.ReceptionLost{Until: l.now.Add(30 * s)}).pass(50 * s).want(machine.Asleep)
	}
	l := claimed()
	if o := actions[machine.Observe](l); !o[len(o)-1].Doubtful {
		t.Errorf("%+v", o)
	}
	if at, _ := l.forget().probes(4 * time.Minute); len(at) < 20 || at[1]-at[0] != 10*s {
		t.Errorf("asked at %v", at)
	}
	if at, _ := l.pass(time.Minute).probes(time.Hour); len(at) > 0 {
		t.Errorf("asked at %v", at)
	}
	if o := actions[machine.Observe](l); o[len(o)-1].Doubtful {
		t.Errorf("%+v", o)
	}
	l.forget().event(machine.Visited{}).pass(s).wantActions().want(machine.Asleep)

	l = claimed().forget().pass(s).event(machine.Visited{}).up(0)
	l.want(machine.Awake).reason(machine.Asleep, machine.Awake, machine.WhyStillUp)
	if got := l.tally().ExternalStarts; got != 0 {
		t.Errorf("%d external starts of a machine that was up", got)
	}
	// Traffic does not have it asked without end.
	l = claimed().forget()
	for range 1000 {
		l.event(machine.Visited{}).pass(time.Millisecond)
	}
	if n := len(actions[machine.Probe](l)); n > 11 {
		t.Errorf("asked %d times in a second", n)
	}
	// One that sleeps by its own word is not asked, since some cards wake by that.
	l = asleep(t, nil).event(machine.Visited{})
	if at, _ := l.probes(time.Hour); len(at) > 0 {
		t.Errorf("asked at %v", at)
	}
}

// TestWakeOfAMachineThatSeemsAwake: it is asked at once, and woken with all its attempts if it
// sleeps.
func TestWakeOfAMachineThatSeemsAwake(t *testing.T) {
	l := agentless(t, nil).pass(s).event(wakeAsked).want(machine.Awake).wantActions(requested(machine.Awake), firstMagic)
	l.pass(6 * s).want(machine.Waking)

	up := agentless(t, nil).pass(s).event(wakeAsked).up(0).forget()
	up.pass(30 * s).want(machine.Asleep) // the wish was fulfilled before
}

func TestWhoIsWatched(t *testing.T) {
	due := func(l *life) bool { return !l.m.Next().IsZero() }
	// A machine is not watched before the configuration, a registration or its
	// place on a network says that it is here.
	for name, l := range map[string]*life{"new": newLife(t, nil), "new, agentless": lifeOf(t, agentlessSpec(), nil)} {
		if due(l) {
			t.Errorf("%s: watched", name)
		}
	}
	for name, c := range map[string]struct {
		life *life
		want bool
	}{
		"agentless":              {lifeOf(t, agentlessSpec(), nil).event(machine.Configured{Agentless: true}), true},
		"agentless, placed":      {lifeOf(t, agentlessSpec(), nil).event(free(ip4)), true},
		"no longer":              {agentless(t, nil).event(machine.Configured{}), false},
		"agentless, watch 0":     {agentless(t, unwatched), true},
		"agentless, watch false": {agentless(t, nil).event(machine.Configured{Agentless: true, Unwatched: true}), true},
		"here":                   {newLife(t, nil).event(isHere), true},
		"here, watch 0":          {newLife(t, unwatched).event(isHere).up(time.Hour), false},
		"here, watch false":      {newLife(t, nil).event(isHere, machine.Configured{Unwatched: true}).up(time.Hour), false},
		"woken":                  {awake(t, nil), true},
		"woken, watch 0":         {awake(t, unwatched).up(time.Hour), false},
		"no address has a place": {newLife(t, nil).event(isHere, waits(ip4), waits(ip6)).up(time.Hour), false},
		"it has one again":       {newLife(t, nil).event(isHere, waits(ip4), waits(ip6)).up(time.Hour).event(free(ip6)), true},
	} {
		if due(c.life) != c.want {
			t.Errorf("%s: watched %t", name, !c.want)
		}
	}
	agentless(t, nil).event(machine.Configured{}, machine.Configured{Agentless: true}).pass(30 * s).want(machine.Asleep)
	agentless(t, nil).event(machine.Stopped{}).pass(time.Minute).want(machine.Awake).wantActions()
}

// TestAShorterPauseTakesEffect at once, where the next question is far away.
func TestAShorterPauseTakesEffect(t *testing.T) {
	l := agentless(t, func(p *machine.Policy) { p.WatchInterval = time.Hour })
	l.event(machine.PolicyChanged{Policy: policy()}).pass(20 * s).want(machine.Asleep)
	l = awake(t, unwatched).up(time.Hour)
	l.event(machine.PolicyChanged{Policy: policy()}).pass(20 * s).want(machine.Asleep)
}

// TestQuestionsAreSpread: of a thousand machines that are watched from one moment
// on no 100 ms see more than three times their share.
func TestQuestionsAreSpread(t *testing.T) {
	now := time.Now()
	var slots [100]int
	for i := range 1000 {
		s := agentlessSpec()
		s.MAC = ether.MAC{2, 0x80, 0, 0, byte(i >> 8), byte(i)}
		m := machine.New(s, policy(), now)
		m.Handle(now, machine.Configured{Agentless: true})
		slots[m.Next().Sub(now)/(100*time.Millisecond)]++
	}
	if most := slices.Max(slots[:]); most > 3*1000/len(slots) {
		t.Errorf("up to %d questions in 100 ms: %v", most, slots)
	}
}

// TestForget: a machine that was neither heard nor woken for 90 days is forgotten,
// and nothing of it stays behind.
func TestForget(t *testing.T) {
	const days = 24 * time.Hour
	gone := machine.Forget{Reason: "neither heard nor woken for 90 days"}
	l := asleep(t, nil).pass(90*days - 4*s).wantActions()
	l.pass(4*s).wantActions(releaseBoth, announce4, announce6, end4, end6, gone)

	for name, e := range map[string]machine.Event{"heard": frame, "woken": wakeAsked} {
		l := asleep(t, nil).pass(80 * days).event(e).pass(80 * days)
		if n := len(actions[machine.Forget](l)); n > 0 {
			t.Errorf("%s: forgotten", name)
		}
		if l.pass(20 * days); len(actions[machine.Forget](l)) == 0 {
			t.Errorf("%s: not forgotten", name)
		}
	}
	for name, l := range map[string]*life{
		"answers": awake(t, nil).up(100 * days), "not watched": awake(t, unwatched).up(100 * days),
		"permanent": asleep(t, nil).event(machine.Configured{Permanent: true}).pass(100 * days),
		"agentless": agentless(t, nil).pass(100 * days),
	} {
		if len(actions[machine.Forget](l)) > 0 {
			t.Errorf("%s: forgotten", name)
		}
	}
	// A restart does not begin the 90 days anew.
	l = asleep(t, nil).pass(80 * days).away(time.Minute).pass(9 * days).want(machine.Asleep)
	if l.pass(2 * days); len(actions[machine.Forget](l)) == 0 {
		t.Error("not forgotten after a restart")
	}
}
