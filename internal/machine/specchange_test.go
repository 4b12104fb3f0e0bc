package machine_test

import (
	"testing"
	"time"

	"nightporter/internal/machine"
)

// respec changes the description of the machine, as a reload of the configuration does.
func (l *life) respec(change func(*machine.Spec)) *life {
	s := spec()
	change(&s)
	return l.event(machine.SpecChanged{Spec: s})
}

// TestAChangedSpecMovesNothing: a machine goes on with what it does, and keeps what is
// claimed for it.
func TestAChangedSpecMovesNothing(t *testing.T) {
	for _, start := range []func(*testing.T, func(*machine.Policy)) *life{newLife, settling, asleep, waking, arriving, awake} {
		l := start(t, nil)
		was, held := l.m.Status(), l.m.Claimed()
		l.forget()
		l.respec(func(s *machine.Spec) {
			s.Name = "other"
			s.Monitor[0].Ports = append(s.Monitor[0].Ports, machine.Port{Protocol: machine.TCP, Number: 445})
		})
		if is := l.m.Status(); is.State != was.State || is.Since != was.Since || is.Name != "other" || len(is.Monitor[0].Ports) != 2 {
			t.Errorf("%v since %v, then %v since %v: %+v", was.State, was.Since, is.State, is.Since, is.Spec)
		}
		if got := l.m.Claimed(); len(got) != len(held) {
			t.Errorf("%v: claimed %v, then %v", was.State, held, got)
		}
		if was.State != machine.Arriving { // its services are checked anew
			l.wantActions()
		}
	}
}

// TestAChangedSpecIsCountedWithThePowerOfBefore.
func TestAChangedSpecIsCountedWithThePowerOfBefore(t *testing.T) {
	l := asleep(t, nil).pass(time.Hour).respec(func(s *machine.Spec) { s.IdleWatts = 1002 }).want(machine.Asleep)
	if got := l.tally(); got.Slept != time.Hour || got.SavedJoules != 180_000 {
		t.Errorf("tally %+v", got)
	}
	l.wantActions()
}

// TestAChangedSpecWithOtherAddresses: what is no more the machine's is released, and a
// new address is claimed once all hosts have been asked for it.
func TestAChangedSpecWithOtherAddresses(t *testing.T) {
	l := asleep(t, nil).respec(func(s *machine.Spec) {
		s.Monitor[1] = machine.Address{IP: away4}
	}).want(machine.Asleep).wantActions(end6Now, announce6, end6)
	l.pass(time.Minute).wantActions() // its network is not known
	l.event(free(ip4, away4)).pass(time.Minute).want(machine.Asleep)
	if got := actions[machine.Claim](l); len(got) != 1 || len(got[0].Addrs) != 1 || got[0].Addrs[0] != away4 {
		t.Errorf("claims %+v, want one of %v", got, away4)
	}
	l.event(knockSSH).pass(5 * s).event(answer(ip4)).want(machine.Arriving)
}

// TestAChangedSpecOfAGuest: an address that is another guest's now is another address.
func TestAChangedSpecOfAGuest(t *testing.T) {
	asleep(t, nil).respec(func(s *machine.Spec) { s.Monitor[1].MAC = otherMAC }).
		wantActions(end6Now, announce6, end6)
}

// TestAChangedSpecKeepsAConflict: an address that was left to another host stays so.
func TestAChangedSpecKeepsAConflict(t *testing.T) {
	l := asleep(t, nil).event(conflict).forget().respec(func(s *machine.Spec) { s.IdleWatts = 7 })
	if !l.m.Conceded(ip4) {
		t.Error("it is not left to the other host any more")
	}
	if got := l.m.Claimed(); len(got) != 1 || got[0] != ip6 {
		t.Errorf("claimed %v", got)
	}
}
