package machine_test

import (
	"slices"
	"testing"
	"time"

	"nightporter/internal/machine"
)

var testAsked = machine.WakeRequested{Trigger: machine.ByAPI, By: "test", Test: true}

// counted returns how many wakes, failures, external starts and settle timeouts there
// were.
func (l *life) counted() (n uint64) {
	t := l.tally()
	for i := range t.Wakes {
		n += t.Wakes[i] + t.Failures[i]
	}
	return n + t.ExternalStarts + t.SettleTimeouts
}

// TestOfAMachineThatWakes waits for its TCP services, tells of each, and does not count.
func TestOfAMachineThatWakes(t *testing.T) {
	l := asleep(t, nil).event(testAsked).want(machine.Waking).forget().pass(5 * s).event(answer(ip4)).want(machine.Arriving)
	over := actions[machine.CheckServices](l)
	if len(over) != 1 || !slices.Equal(over[0].Services, []machine.Service{ssh}) {
		t.Errorf("waits for %v, want %v", over, ssh)
	}
	l.up(s).forget().event(machine.ServicesReady{Services: []machine.Service{ssh}, All: true}).want(machine.Awake)
	l.wantActions(machine.ServiceReady{Service: ssh, After: 6 * s}, releaseBoth, announce4, machine.WakeEnded{Boot: 5 * s, Ready: 6 * s, Test: true})
	if n := l.counted(); n != 0 {
		t.Errorf("%d counted: %+v", n, l.tally())
	}
	if w := l.m.LastWake(); !w.Test || w.Outcome != machine.Served || w.By != "test" {
		t.Errorf("last wake %+v", w)
	}
	if mem := l.m.Memory(); mem.BootTimes != (machine.BootTimes{}) {
		t.Errorf("takes %+v", mem.BootTimes)
	}
}

// TestOfAMachineThatDoesNotWake: it fails, which neither counts nor puts clients off,
// and the machine is kept.
func TestOfAMachineThatDoesNotWake(t *testing.T) {
	l := asleep(t, func(p *machine.Policy) { p.WakeAttempts, p.Keep = 1, false })
	for range 3 {
		l.event(testAsked).want(machine.Waking).forget().pass(16 * s).want(machine.Asleep)
		l.wantActions(machine.WakeFailed{Trigger: machine.ByAPI, Attempts: 1, Test: true}, machine.DropPackets{})
	}
	if n := l.counted(); n != 0 || l.m.Memory().Failures != 0 {
		t.Errorf("%d counted: %+v", n, l.tally())
	}
	l.event(knockSSH).want(machine.Waking)
}

// TestOfAMachineThatFailedBefore is reported as if it were the first.
func TestOfAMachineThatFailedBefore(t *testing.T) {
	l := asleep(t, func(p *machine.Policy) { p.WakeAttempts = 1 }).event(knockSSH).pass(16 * s).want(machine.Asleep).forget()
	l.event(testAsked).pass(16 * s)
	began, failed := actions[machine.WakeBegan](l), actions[machine.WakeFailed](l)
	if len(began) != 1 || began[0].Repeated || len(failed) != 1 || failed[0].Repeated || l.rounds() != 1 || actions[machine.SendMagic](l)[0].Repeated {
		t.Errorf("so far:\n%s", l.story())
	}
	if got := l.m.Memory().Failures; got != 1 {
		t.Errorf("%d failures", got)
	}
}

// TestOfAMachineThatDoesNotSleep: no magic packet, and no settle timeout.
func TestOfAMachineThatDoesNotSleep(t *testing.T) {
	l := newLife(t, nil).event(registered).forget().event(testAsked).up(11 * time.Minute).want(machine.Awake)
	if n := l.counted(); n != 0 || len(actions[machine.SendMagic](l)) != 0 {
		t.Errorf("%d counted; so far:\n%s", n, l.story())
	}
	// One that sleeps is woken once it is off.
	l = newLife(t, nil).event(registered, testAsked).pass(2900 * time.Millisecond).want(machine.Settling)
	l.pass(200 * time.Millisecond).want(machine.Waking)
}

// TestClientJoinsATest before the machine is up: it is the client's wake from then on.
func TestClientJoinsATest(t *testing.T) {
	for name, l := range map[string]*life{
		"before": newLife(t, func(p *machine.Policy) { p.WakeAttempts = 1 }).event(registered, testAsked, knockSSH).pass(3 * s),
		"during": asleep(t, func(p *machine.Policy) { p.WakeAttempts = 1 }).event(testAsked, knockSSH),
	} {
		t.Run(name, func(t *testing.T) {
			l.t = t
			l.want(machine.Waking).pass(20 * s).want(machine.Asleep)
			got, last := l.tally(), l.m.LastWake()
			if got.Wakes[machine.ByTCP] != 1 || got.Failures[machine.ByTCP] != 1 || l.counted() != 2 || l.m.Memory().Failures != 1 {
				t.Errorf("tally %+v", got)
			}
			if last.Test || last.Trigger != machine.ByTCP || last.Service != ssh || last.Outcome != machine.GivenUp {
				t.Errorf("last wake %+v", last)
			}
			if n := l.m.Status().Knocks.Of(ssh.Port); n != 1 {
				t.Errorf("%d knocks", n)
			}
		})
	}
	// Its events tell.
	if began := actions[machine.WakeBegan](asleep(t, nil).event(testAsked).forget().event(knockSSH, knockSSH)); len(began) != 1 || began[0].Source != client || began[0].Test {
		t.Errorf("the events say %+v", began)
	}
	// So does a person who asks for a wake.
	asked := asleep(t, func(p *machine.Policy) { p.WakeAttempts = 1 }).event(testAsked, wakeAsked).pass(16 * s).want(machine.Asleep)
	if got := asked.tally(); got.Wakes[machine.ByAPI] != 1 || got.Failures[machine.ByAPI] != 1 {
		t.Errorf("tally %+v", got)
	}
	// After a test that is over a knock is an ordinary one.
	l := asleep(t, func(p *machine.Policy) { p.WakeAttempts = 1 }).event(testAsked).pass(16 * s).want(machine.Asleep)
	l.event(knockSSH)
	if got := l.tally(); got.Wakes[machine.ByAPI] != 0 || got.Wakes[machine.ByTCP] != 1 {
		t.Errorf("tally %+v", got)
	}
}

// TestClientComesAfterTheArrivalOfATest: it has woken nothing, however long the machine's
// services take, and neither has a request.
func TestClientComesAfterTheArrivalOfATest(t *testing.T) {
	l := asleep(t, nil).event(testAsked).pass(5 * s).event(answer(ip4)).want(machine.Arriving)
	l.event(knockSSH, knockGame).up(s).event(knockSSH, wakeAsked).up(59*s).event(knockSSH).up(s).reason(machine.Arriving, machine.Awake, machine.WhyNotReady)
	if n := l.counted(); n != 0 || len(l.m.Status().Knocks) != 0 || !l.m.LastWake().Test {
		t.Errorf("%d counted: %+v, knocks %+v, last wake %+v", n, l.tally(), l.m.Status().Knocks, l.m.LastWake())
	}
	// That was firmware: the client still wants the machine.
	l = asleep(t, nil).event(testAsked).pass(5*s).event(answer(ip4), knockSSH).pass(4 * s).want(machine.Waking).event(knockSSH)
	if got := l.tally(); got.Wakes[machine.ByTCP] != 1 || l.m.LastWake().Test {
		t.Errorf("tally %+v, last wake %+v", got, l.m.LastWake())
	}
}

// TestRequestJoinsATestOfAMachineThatIsOffUnseen: it counts as awake, and is woken once
// that it is off is known, by the one who really wants it.
func TestRequestJoinsATestOfAMachineThatIsOffUnseen(t *testing.T) {
	here := machine.Registered{Spec: spec(), Here: true}
	for name, events := range map[string][]machine.Event{"after": {testAsked, wakeAsked}, "before": {wakeAsked, testAsked}} {
		l := newLife(t, nil).event(here, answer(ip4)).want(machine.Awake).event(events...).pass(10 * s).want(machine.Waking)
		if got := l.tally().Wakes[machine.ByAPI]; got != 1 || l.m.LastWake().Test {
			t.Errorf("%s: %d wakes counted, last wake %+v", name, got, l.m.LastWake())
		}
	}
}
