package machine_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nightporter/internal/machine"
)

// away stops the porter with everything in l, and starts it again later.
func (l *life) away(d time.Duration) *life {
	mem, seen := l.m.Memory(), l.now
	l.now = l.now.Add(d)
	l.m = machine.Resume(mem, policy(), seen, l.now)
	return l.forget()
}

// TestSleepsOnWhileThePorterIsAway: it is claimed again within a second, and has
// slept all the time.
func TestSleepsOnWhileThePorterIsAway(t *testing.T) {
	l := asleep(t, nil).pass(time.Hour).away(10 * time.Minute).want(machine.Settling)
	if got := l.m.Memory(); got.State != machine.Asleep {
		t.Errorf("a second crash would find it %v", got.State)
	}
	l.pass(899 * time.Millisecond).want(machine.Settling)
	if p, ok := l.log[len(l.log)-1].(machine.Probe); !ok || !p.Broadcast {
		t.Errorf("the last question is %+v, want one to everybody", l.log[len(l.log)-1])
	}
	l.pass(time.Millisecond).want(machine.Asleep).wantActions(machine.Claim{Addrs: both, Unsaid: 3 * time.Second})
	status := l.m.Status()
	if got := status.Slept(l.now); got != 70*time.Minute+900*time.Millisecond {
		t.Errorf("slept %v", got)
	}
	l.away(time.Minute).pass(time.Second).event(machine.Heard{Addr: ip4}).want(machine.Settling)
	if got := l.m.Status().Tally.Slept; got != 71*time.Minute+1900*time.Millisecond {
		t.Errorf("slept %v when it spoke", got)
	}
}

// TestStartedWhileThePorterWasAway: it is never claimed, and has slept as long
// as we know for sure.
func TestStartedWhileThePorterWasAway(t *testing.T) {
	l := asleep(t, nil).pass(time.Hour).away(10 * time.Minute)
	for range 8 {
		l.pass(500 * time.Millisecond).event(machine.Heard{Addr: ip4, InUse: true})
	}
	l.want(machine.Awake).wantActions()
	if got := l.m.Status().Tally; got.Slept != time.Hour || got.SavedJoules != 50*3600 || got.ExternalStarts != 1 {
		t.Errorf("tally %+v", got)
	}
}

// TestALateFrameAfterTheRestart is not a start, and takes the usual silence.
func TestALateFrameAfterTheRestart(t *testing.T) {
	l := asleep(t, nil).pass(time.Hour).away(time.Minute).pass(100 * time.Millisecond).event(machine.Heard{})
	l.pass(2900 * time.Millisecond).want(machine.Settling).pass(time.Second).want(machine.Asleep)
}

func TestRegistersAfterTheRestart(t *testing.T) {
	l := asleep(t, nil).pass(time.Hour).away(time.Minute).event(machine.Registered{Spec: spec()}).want(machine.Settling)
	l.pass(2 * time.Second).want(machine.Settling).pass(time.Second).want(machine.Asleep)
	if got := l.m.Status().Tally.Slept; got != time.Hour {
		t.Errorf("slept %v", got)
	}
}

func TestResumeInEveryState(t *testing.T) {
	for _, c := range []struct {
		state machine.State
		life  *life
		soon  machine.State // after the porter is back
		later machine.State // when it is silent for 3 s
	}{
		{machine.Awake, newLife(t, nil), machine.Awake, machine.Awake},
		{machine.Settling, newLife(t, nil).event(machine.Registered{Spec: spec()}), machine.Settling, machine.Asleep},
		{machine.Asleep, asleep(t, nil), machine.Settling, machine.Asleep},
		{machine.Waking, waking(t, nil), machine.Settling, machine.Asleep},
		{machine.Arriving, arriving(t, nil), machine.Settling, machine.Asleep},
	} {
		t.Run(c.state.String(), func(t *testing.T) {
			c.life.want(c.state)
			before := c.life.m.Memory()
			l := c.life.away(time.Minute).want(c.soon)
			if c.state != machine.Waking && c.state != machine.Arriving {
				if d := cmp.Diff(before, l.m.Memory(), cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})); d != "" {
					t.Errorf("memory (-before +after):\n%s", d)
				}
			}
			l.pass(4 * time.Second).want(c.later)
			if c.state == machine.Waking {
				up := waking(t, nil).away(time.Minute)
				for range 8 {
					up.pass(500 * time.Millisecond).event(machine.Heard{Addr: ip4, InUse: true})
				}
				if got := up.want(machine.Awake).m.Status().Tally.ExternalStarts; got != 0 {
					t.Errorf("%d external starts of a machine that we woke", got)
				}
			}
			if got := l.m.Status().Tally.Wakes; got != before.Tally.Wakes {
				t.Errorf("wakes %v, before %v", got, before.Tally.Wakes)
			}
		})
	}
}

// TestTheClockWasWrong: a host without a clock of its own starts in the past.
func TestTheClockWasWrong(t *testing.T) {
	l := asleep(t, nil).pass(time.Hour)
	mem := l.m.Memory()
	l.now = l.now.Add(-24 * time.Hour)
	l.m = machine.Resume(mem, policy(), l.now, l.now)
	l.pass(time.Second).want(machine.Asleep)
	status := l.m.Status()
	if got := status.Slept(l.now); got < 0 || got > time.Second {
		t.Errorf("slept %v", got)
	}
	l.event(machine.Heard{Addr: ip4})
	if got := l.m.Status().Tally.Slept; got < 0 {
		t.Errorf("slept %v", got)
	}
}
