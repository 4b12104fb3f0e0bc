package machine_test

import (
	"testing"
	"time"

	"nightporter/internal/machine"
)

// TestFramesProveNothing: whatever merely arrives from its MAC while a machine
// sleeps, forged or not, costs one look and never wakes its record.
func TestFramesProveNothing(t *testing.T) {
	const apart = 1600 * time.Millisecond
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

// TestElsewhere: a machine that comes back at another address is
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
