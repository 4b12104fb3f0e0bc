package machine_test

import (
	"slices"
	"testing"
	"time"

	"nightporter/internal/machine"
)

// TestAWakeThatWasAskedForGoesOn as one with a client that tries does: until wake.timeout,
// or half as long again as the longest boot that is known.
func TestAWakeThatWasAskedForGoesOn(t *testing.T) {
	for name, ask := range map[string]machine.Event{"wake": wakeAsked, "test": testAsked} {
		t.Run(name, func(t *testing.T) {
			l := asleep(t, patient).event(ask).pass(299 * s).want(machine.Waking)
			if n := l.rounds(); n != 20 {
				t.Errorf("%d rounds of magic packets in 5 minutes", n)
			}
			l.pass(s).want(machine.Asleep)
		})
	}
	// A client that has given up does not end it, and neither does one that comes first.
	asleep(t, patient).event(knockSSH).pass(40 * s).event(wakeAsked).pass(259 * s).want(machine.Waking).pass(s).want(machine.Asleep)
	asleep(t, patient).event(wakeAsked, knockSSH).pass(299 * s).want(machine.Waking).pass(s).want(machine.Asleep)
	newLife(t, patient).event(registered, knockSSH, wakeAsked).pass(302 * s).want(machine.Waking).pass(s).want(machine.Asleep)
	// A longer boot is known.
	l := asleep(t, patient).event(wakeAsked).pass(280*s).event(answer(ip4), ready).want(machine.Awake)
	l.event(registered).pass(3 * s).event(wakeAsked).pass(419 * s).want(machine.Waking).pass(s).want(machine.Asleep)
}

// The services of twice.
var (
	ssh6 = machine.Service{Addr: ip6, Port: ssh.Port}
	smb  = machine.Service{Addr: ip4, Port: machine.Port{Protocol: machine.TCP, Number: 445}}
)

// twice has SSH at two addresses, and SMB at one.
func twice() machine.Spec {
	nas := spec()
	nas.Monitor = []machine.Address{{IP: ip4, Ports: []machine.Port{ssh.Port, smb.Port}}, {IP: ip6, Ports: []machine.Port{ssh.Port}}}
	return nas
}

// arrivingFor is a life of twice that has arrived after events.
func arrivingFor(t *testing.T, events ...machine.Event) *life {
	l := lifeOf(t, twice(), nil).event(machine.Registered{Spec: twice()}).pass(3 * s).event(events...).pass(5 * s)
	return l.event(answer(ip4)).want(machine.Arriving)
}

// TestAWakeThatWasAskedForWaitsForServices: each port at one of the addresses will do,
// where no client wants it at another.
func TestAWakeThatWasAskedForWaitsForServices(t *testing.T) {
	takes := func(some ...machine.Service) machine.Event { return machine.ServicesReady{Services: some} }

	l := arrivingFor(t, wakeAsked)
	want := machine.Arrival{Since: l.now, Until: l.now.Add(time.Minute), NotReady: []machine.Service{ssh, smb, ssh6}}
	if got := l.m.Arrival(l.now); !sameArrival(got, want) {
		t.Errorf("waits for %+v, want %+v", got, want)
	}
	l.up(s).event(takes(ssh6)).want(machine.Arriving)
	if got := l.m.Arrival(l.now).NotReady; !slices.Equal(got, []machine.Service{smb}) {
		t.Errorf("waits for %v, want %v", got, smb)
	}
	l.up(s).event(takes(smb)).reason(machine.Arriving, machine.Awake, machine.WhyReady)
	if got := l.m.Arrival(l.now); !sameArrival(got, machine.Arrival{}) {
		t.Errorf("waits for %+v while it is awake", got)
	}

	arrivingFor(t, wakeAsked, knockSSH).event(takes(ssh6, smb)).want(machine.Arriving).event(takes(ssh)).want(machine.Awake)
	arrivingFor(t, testAsked).event(takes(ssh6, smb)).want(machine.Arriving).event(takes(ssh)).want(machine.Awake)
	arrivingFor(t, knockSSH).event(takes(ssh)).want(machine.Awake)

	// What was ready before the machine fell silent again has to be so anew.
	l = arrivingFor(t, wakeAsked).event(takes(ssh)).pass(4 * s).want(machine.Waking).event(answer(ip4)).want(machine.Arriving)
	if got := l.m.Arrival(l.now).NotReady; len(got) != 3 {
		t.Errorf("waits for %v after a silence", got)
	}

	l = arrivingFor(t, knockSSH).forget().event(wakeAsked)
	if over := actions[machine.CheckServices](l); len(over) != 1 || !slices.Equal(over[0].Services, []machine.Service{ssh, smb, ssh6}) {
		t.Errorf("waits for %v after the request", over)
	}
	l.event(takes(ssh)).want(machine.Arriving).forget().up(61*s).reason(machine.Arriving, machine.Awake, machine.WhyNotReady)
	if got := l.m.Status().Unready; !slices.Equal(got, []machine.Service{smb}) {
		t.Errorf("unready %v, want %v", got, smb)
	}
	if l.event(registered).pass(4 * s).event(wakeAsked); len(l.m.Status().Unready) != 0 {
		t.Errorf("unready %v in the next wake", l.m.Status().Unready)
	}
	if left := actions[machine.LeftUnready](l); len(left) != 1 || !slices.Equal(left[0].Services, []machine.Service{smb}) {
		t.Errorf("left unready %v, want %v", left, smb)
	}
}

func sameArrival(a, b machine.Arrival) bool {
	return a.Since.Equal(b.Since) && a.Until.Equal(b.Until) && slices.Equal(a.NotReady, b.NotReady)
}

// TestTheArrivalOfClientsThatTryLastsLonger.
func TestTheArrivalOfClientsThatTryLastsLonger(t *testing.T) {
	l := asleep(t, patient).event(knockSSH).pass(5 * s).event(answer(ip4)).up(s).event(knockSSH)
	if got := l.m.Arrival(l.now).Until.Sub(l.now); got != 5*time.Minute-s {
		t.Errorf("waits for %v more", got)
	}
}

// TestMagicPacketsToAMachineThatIsUpDoNotCount as attempts to wake it.
func TestMagicPacketsToAMachineThatIsUpDoNotCount(t *testing.T) {
	l := newLife(t, nil).event(wakeAsked, registered, wakeAsked)
	if sent := len(actions[machine.SendMagic](l)); sent != 2 || l.tally().Attempts != 0 {
		t.Errorf("%d sent, %d counted", sent, l.tally().Attempts)
	}
}

// TestAWakeThatWasAskedForEnds although each magic packet brings the machine up: it goes
// off again before its services are ready, as a laptop does whose lid is closed.
func TestAWakeThatWasAskedForEnds(t *testing.T) {
	for name, ask := range map[string]machine.Event{"wake": wakeAsked, "test": testAsked} {
		t.Run(name, func(t *testing.T) {
			l := asleep(t, patient).event(ask)
			began := l.now
			for l.m.State() == machine.Waking && l.now.Sub(began) < time.Hour {
				if len(actions[machine.SendMagic](l)) == 0 {
					l.pass(s)
					continue
				}
				l.event(answer(ip4)).want(machine.Arriving).up(30 * s).pass(4 * s).forget()
			}
			if took := l.now.Sub(began); took > 6*time.Minute {
				t.Errorf("%v after %v", l.m.State(), took)
			}
			l.want(machine.Asleep)
		})
	}
}

// TestEachFailureOfARequestedWakeIsReported: its requester waits. Those of knocks are reported
// once.
func TestEachFailureOfARequestedWakeIsReported(t *testing.T) {
	for _, c := range []struct {
		event machine.Event
		want  bool
	}{{wakeAsked, false}, {knockSSH, true}} {
		l := asleep(t, nil).event(knockSSH).pass(10 * time.Minute).want(machine.Asleep).forget()
		l.event(c.event).want(machine.Waking).pass(10 * time.Minute).want(machine.Asleep)
		failed, began := actions[machine.WakeFailed](l), actions[machine.WakeBegan](l)
		if len(failed) != 1 || failed[0].Repeated != c.want || len(began) != 1 || began[0].Repeated != c.want {
			t.Errorf("%T: %+v, %+v", c.event, began, failed)
		}
	}
}

// TestTheArrivalEndsSoonerIfNoClientTries: both times are reported.
func TestTheArrivalEndsSoonerIfNoClientTries(t *testing.T) {
	l := asleep(t, patient).event(knockSSH).pass(5 * s).event(answer(ip4)).up(50 * s).event(knockSSH)
	a := l.m.Arrival(l.now)
	if got := a.Idle.Sub(l.now); got != 82500*time.Millisecond { // one and a half times the 55 s between the tries
		t.Errorf("without a further try waits for %v more", got)
	}
	l.forget().up(a.Idle.Sub(l.now)).want(machine.Awake)

	l = asleep(t, patient).event(knockSSH).pass(5 * s).event(answer(ip4)).up(s).event(knockSSH)
	if got := l.m.Arrival(l.now).Idle.Sub(l.now); got != 59*s { // hold.ready_timeout is later
		t.Errorf("without a further try waits for %v more", got)
	}
	if a := arrivingFor(t, knockSSH).m.Arrival(l.now); !a.Idle.Equal(a.Until) {
		t.Errorf("waits until %v, or %v", a.Idle, a.Until)
	}
}
