package machine_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nightporter/internal/machine"
)

// TestSleepsOnWhileThePorterIsAway: it is claimed again within a second, and has
// slept all the time.
func TestSleepsOnWhileThePorterIsAway(t *testing.T) {
	l := asleep(t, nil).pass(time.Hour).away(10 * time.Minute).want(machine.Settling)
	if got := l.m.Memory(); got.State != machine.Asleep {
		t.Errorf("a second crash would find it %v", got.State)
	}
	l.pass(899 * time.Millisecond).want(machine.Settling)
	if all := actions[machine.Probe](l); !all[len(all)-1].Broadcast {
		t.Errorf("the last question is %+v, want one to all hosts", all[len(all)-1])
	}
	l.pass(time.Millisecond).want(machine.Asleep).wantActions(machine.Claim{Addrs: both, AnnounceAfter: 3 * s})
	status := l.m.Status()
	if got := status.Slept(l.now); got != 70*time.Minute+900*time.Millisecond {
		t.Errorf("slept %v", got)
	}
	l.away(time.Minute).pass(s).event(tests(ip4)).want(machine.Settling)
	if got := l.tally().Slept; got != 71*time.Minute+1900*time.Millisecond {
		t.Errorf("slept %v when it spoke", got)
	}
}

// TestStartedWhileThePorterWasAway: it is never claimed, and has slept as long
// as is known for sure. The machine of a knock that came since arrives.
func TestStartedWhileThePorterWasAway(t *testing.T) {
	l := asleep(t, nil).pass(time.Hour).away(10 * time.Minute).up(4 * s)
	l.want(machine.Awake).wantActions()
	if got := l.tally(); got.Slept != time.Hour || got.SavedJoules != 50*3600 || got.ExternalStarts != 1 {
		t.Errorf("tally %+v", got)
	}
}

// TestALateFrameAfterTheRestart is not a start, and takes the usual silence.
func TestALateFrameAfterTheRestart(t *testing.T) {
	l := asleep(t, nil).pass(time.Hour).away(time.Minute).pass(100 * time.Millisecond).event(frame)
	l.pass(2900 * time.Millisecond).want(machine.Settling).pass(s).want(machine.Asleep)
}

func TestRegistersAfterTheRestart(t *testing.T) {
	l := asleep(t, nil).pass(time.Hour).away(time.Minute).event(registered).want(machine.Settling)
	l.pass(2 * s).want(machine.Settling).pass(s).want(machine.Asleep)
	if got := l.tally().Slept; got != time.Hour {
		t.Errorf("slept %v", got)
	}
}

// TestSleepsOnWhileItCannotBeAsked: an outage does not end a sleep that the porter
// has to look for after its restart.
func TestSleepsOnWhileItCannotBeAsked(t *testing.T) {
	l := asleep(t, nil).pass(time.Hour).away(time.Minute)
	l.as(cut, time.Hour).want(machine.Settling).pass(1200 * time.Millisecond).want(machine.Asleep)
	status := l.m.Status()
	if got := status.Slept(l.now); got < 2*time.Hour || status.Tally.ExternalStarts+status.Tally.SettleTimeouts != 0 {
		t.Errorf("slept %v, tally %+v", got, status.Tally)
	}
}

// TestNoTotalFallsOverARestart, whenever it comes: a total that is less than before
// is taken for one that began anew at 0, and counted twice.
func TestNoTotalFallsOverARestart(t *testing.T) {
	l := asleep(t, nil).pass(time.Hour)
	for n := range 200 {
		before := l.m.Status()
		was, saved := before.Slept(l.now), before.SavedJoules(l.now)
		var days [machine.Week]machine.Day
		if n%7 == 0 {
			days = before.SleptDays(l.now)
			l.away(time.Duration(n) * s)
		} else {
			l.pass(time.Duration(n%5) * 100 * time.Millisecond)
		}
		if n%31 == 0 {
			l.event(frame)
		}
		after := l.m.Status()
		if after.Slept(l.now) < was || after.SavedJoules(l.now) < saved {
			t.Fatalf("step %d: slept %v, before %v", n, after.Slept(l.now), was)
		}
		for i, day := range after.SleptDays(l.now) {
			if day.Slept < days[i].Slept && day.Date == days[i].Date {
				t.Fatalf("step %d: slept %v on %v, before %v", n, day.Slept, day.Date, days[i].Slept)
			}
		}
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
		{machine.Settling, newLife(t, nil).event(registered), machine.Settling, machine.Asleep},
		{machine.Asleep, asleep(t, nil), machine.Settling, machine.Asleep},
		{machine.Waking, waking(t, nil), machine.Settling, machine.Asleep},
		{machine.Arriving, arriving(t, nil), machine.Awake, machine.Awake}, // it was up
	} {
		t.Run(c.state.String(), func(t *testing.T) {
			c.life.want(c.state)
			before := c.life.m.Memory()
			l := c.life.away(time.Minute).want(c.soon)
			if c.state != machine.Asleep && c.state != machine.Waking {
				before.Heard = l.m.Memory().Heard // an awake one was heard until then
			}
			if c.state != machine.Waking && c.state != machine.Arriving {
				if d := cmp.Diff(before, l.m.Memory(), cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})); d != "" {
					t.Errorf("memory (-before +after):\n%s", d)
				}
			}
			l.away(time.Minute).pass(4 * s).want(c.later) // also when it crashes again
			if got := l.tally().Wakes; got != before.Tally.Wakes {
				t.Errorf("wakes %v, before %v", got, before.Tally.Wakes)
			}
		})
	}
}

// TestWokenBeforeTheRestart is no external start, however often the porter restarts.
func TestWokenBeforeTheRestart(t *testing.T) {
	for _, l := range []*life{
		waking(t, nil).away(time.Minute), waking(t, nil).away(time.Minute).away(s), arriving(t, nil).away(time.Minute).away(s),
	} {
		if got := l.up(4 * s).want(machine.Awake).tally(); got.ExternalStarts+got.SettleTimeouts != 0 {
			t.Errorf("tally %+v", got)
		}
	}
}

// TestADoubtBeforeTheRestart proves nothing: the machine was awake.
func TestADoubtBeforeTheRestart(t *testing.T) {
	l := awake(t, nil).pass(15 * s)
	if l.m.State() != machine.Settling {
		l.pass(s)
	}
	l.want(machine.Settling).away(s).want(machine.Awake)
	l.up(20 * time.Minute).want(machine.Awake).wantActions()
	if got := l.tally(); got.SettleTimeouts+got.ExternalStarts != 0 {
		t.Errorf("tally %+v", got)
	}
}

// TestTheClockWasWrong: a host without a clock of its own starts in the past.
func TestTheClockWasWrong(t *testing.T) {
	l := asleep(t, nil).pass(time.Hour)
	mem := l.m.Memory()
	l.now = l.now.Add(-24 * time.Hour)
	l.m = machine.Restore(mem, policy(), l.now, l.now)
	l.pass(s).want(machine.Asleep)
	status := l.m.Status()
	if got := status.Slept(l.now); got < 0 || got > s {
		t.Errorf("slept %v", got)
	}
	l.event(tests(ip4))
	if got := l.tally().Slept; got < 0 {
		t.Errorf("slept %v", got)
	}
}
