package machine_test

import (
	"testing"
	"time"

	"nightporter/internal/machine"
)

func agentlessSpec() machine.Spec {
	s := spec()
	s.Agentless = true
	return s
}

// agentless is a life of a machine that never registers. It answered a moment ago,
// so that it is asked again in 10 s.
func agentless(t *testing.T, change func(*machine.Policy)) *life {
	t.Helper()
	l := lifeOf(t, agentlessSpec(), change).event(machine.Configured{Agentless: true})
	for len(actions[machine.Probe](l)) == 0 {
		l.up(time.Millisecond)
	}
	return l.want(machine.Awake).forget()
}

// TestAgentlessReboots: the porter took it for asleep, so it is an external start, and
// it may test its addresses in peace.
func TestAgentlessReboots(t *testing.T) {
	l := agentless(t, nil).pass(25 * s).want(machine.Asleep).forget()
	l.event(tests(ip4)).pass(2*s).event(uses(ip4), uses(ip6)).up(4 * s)
	l.want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyStarted)
	if got := l.tally(); got.ExternalStarts != 1 || got.Slept.Round(10*time.Millisecond) != 9*s {
		t.Errorf("tally %+v", got)
	}
	l.pass(20 * s).want(machine.Asleep) // and it goes on
}

// TestAgentlessPausesInItsStart: with quick probes its addresses are not claimed
// in the pause of a start that was not noticed.
func TestAgentlessPausesInItsStart(t *testing.T) {
	quick := func(p *machine.Policy) { p.ProbeInterval = 100 * time.Millisecond }
	l := agentless(t, quick).pass(10500 * time.Millisecond).want(machine.Settling)
	l.event(tests(ip6)).pass(2999 * time.Millisecond).want(machine.Settling).wantActions()
	l.event(uses(ip6)).up(s).want(machine.Awake).pass(20 * s).want(machine.Asleep)
}

// TestAgentlessThatRegisters settles like others, and is watched again when it
// has started.
func TestAgentlessThatRegisters(t *testing.T) {
	l := agentless(t, nil).event(machine.Registered{Spec: agentlessSpec()}).want(machine.Settling)
	l.up(2900 * time.Millisecond).want(machine.Settling)
	l.pass(4 * s).want(machine.Asleep).event(knockSSH).up(s).event(ready).want(machine.Awake)
	l.pass(40 * s).want(machine.Asleep)
}

// TestFailedWakeOfAnAgentlessMachine leaves it claimed, and to be knocked at.
func TestFailedWakeOfAnAgentlessMachine(t *testing.T) {
	l := agentless(t, nil).pass(time.Minute).event(knockSSH).pass(45 * s).want(machine.Asleep)
	l.event(knockSSH).want(machine.Waking)
}

func TestAgentlessResumes(t *testing.T) {
	back := func(l *life) *life { return l.away(time.Minute).event(machine.Configured{Agentless: true}) }
	l := back(agentless(t, nil)).want(machine.Awake).pass(20 * s).want(machine.Asleep)

	// It is claimed again soon, and has slept all the time.
	back(l.pass(time.Hour)).pass(900 * time.Millisecond).want(machine.Asleep).wantActions(machine.Claim{Addrs: both, AnnounceAfter: 3 * s})
	if s := l.m.Status(); s.Slept(l.now) < time.Hour+time.Minute {
		t.Errorf("slept %v", s.Slept(l.now))
	}

	// One whose silence was in doubt was awake: nothing had proved that it slept.
	back(agentless(t, nil).pass(14 * s).want(machine.Settling)).want(machine.Awake).pass(20 * s).want(machine.Asleep)
}

// TestAgentlessBehindACard that is known from a registration: while it runs its
// other answers have to be seen, and when only the card is left it is claimed.
func TestAgentlessBehindACard(t *testing.T) {
	l := agentless(t, override).event(machine.Registered{Spec: agentlessSpec()}).as(onlyCard, 11*time.Minute).want(machine.Asleep)
	l.event(knockSSH).up(10 * time.Millisecond).event(ready).up(10 * time.Minute).want(machine.Awake)
	if moved := actions[machine.Moved](l); len(moved) != 5 {
		t.Fatalf("%+v although it runs", moved)
	}
	if o := actions[machine.Observe](l); o[len(o)-1].Attention != machine.ObserveAll {
		t.Error("its answers to questions are not seen")
	}
	l.forget().as(onlyCard, 20*s).want(machine.Asleep).reason(machine.Settling, machine.Asleep, machine.WhyOnlyNIC)
}

// TestAgentlessThatTheMagicPacketReached is not claimed while it may be testing
// its addresses.
func TestAgentlessThatTheMagicPacketReached(t *testing.T) {
	l := agentless(t, brisk).pass(10400 * time.Millisecond).want(machine.Settling).event(wakeAsked)
	l.pass(2999 * time.Millisecond).want(machine.Settling)

	l = agentless(t, func(p *machine.Policy) { p.ProbeInterval = 600 * time.Millisecond }).pass(11 * s)
	l.want(machine.Awake).event(wakeAsked).pass(2999 * time.Millisecond)
	if got := l.m.State(); got != machine.Awake && got != machine.Settling {
		t.Errorf("it is %v", got)
	}
}
