package machine_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/machine"
)

func TestRegisteredMachineSettlesThenIsClaimed(t *testing.T) {
	l := newLife(t, nil).want(machine.Awake)
	l.event(registered).want(machine.Settling).reason(machine.Awake, machine.Settling, machine.WhyRegistered)
	l.pass(2900 * time.Millisecond).want(machine.Settling).wantActions()
	l.pass(100*time.Millisecond).want(machine.Asleep).reason(machine.Settling, machine.Asleep, machine.WhySilent).
		wantActions(claimBoth)
}

func TestSettlingAsksTheMachineAndLastOfAllTheLAN(t *testing.T) {
	l := newLife(t, nil).event(registered).pass(3 * time.Second)
	var broadcast []bool
	for _, p := range actions[machine.Probe](l) {
		broadcast = append(broadcast, p.Broadcast)
	}
	if d := cmp.Diff([]bool{false, false, true}, broadcast); d != "" {
		t.Error(d)
	}
}

// The first probe is due at once, and not sent by the event itself: its answer
// would come before the readers look out for it.
func TestTheFirstProbeIsDueAndNotSent(t *testing.T) {
	l := newLife(t, nil).event(registered)
	if len(actions[machine.Probe](l)) > 0 {
		t.Error("probed by the registration")
	}
	if !l.m.Next().Equal(l.now) {
		t.Errorf("due at %v, want now", l.m.Next())
	}
}

// TestHeardJustBeforeTheVerdict: a machine whose answers were lost has another
// question, and forged frames put the verdict off for no longer than it takes.
func TestHeardJustBeforeTheVerdict(t *testing.T) {
	l := agentless(t, nil).up(s).pass(13 * s).want(machine.Settling)
	for l.m.Next().Sub(l.now) > 100*time.Millisecond || len(actions[machine.Probe](l)) < 6 {
		l.pass(50 * time.Millisecond)
	}
	l.event(machine.Heard{Addr: ip4, Sign: machine.Data}).up(s).want(machine.Awake)

	l = agentless(t, nil).up(s).pass(13 * s).want(machine.Settling).forget()
	for range 90 {
		l.event(machine.Heard{Addr: ip4, Sign: machine.Data}).pass(200 * time.Millisecond)
	}
	if len(actions[machine.Claim](l)) == 0 {
		t.Errorf("not claimed; so far:\n%s", l.story())
	}
}

// TestSettlingWaitsWhileTheMachineAnswers: its shutdown takes as long as it takes.
// What it says without being asked does not put the claim off.
func TestSettlingWaitsWhileTheMachineAnswers(t *testing.T) {
	l := newLife(t, nil).event(registered).up(time.Minute).want(machine.Settling)
	l.pass(2900*time.Millisecond).event(uses(ip4), frame).want(machine.Settling).wantActions()
	l.pass(500 * time.Millisecond).want(machine.Asleep).wantActions(claimBoth)
}

// TestSettlingWaitsForATest of an address (RFC 5227 section 2.1): the machine may
// have started again at once. Forged tests do not put the claim off for ever.
func TestSettlingWaitsForATest(t *testing.T) {
	l := newLife(t, nil).event(registered)
	for range 9 {
		l.pass(time.Second).event(tests(ip6)).want(machine.Settling)
	}
	l.pass(2900 * time.Millisecond).want(machine.Settling).pass(200 * time.Millisecond).want(machine.Asleep)

	l = newLife(t, nil).event(registered)
	for range 20 {
		l.pass(time.Second).event(tests(ip6))
	}
	l.reason(machine.Settling, machine.Asleep, machine.WhySilent)

	// A forged one does not use up the time of an honest test that follows.
	l = agentless(t, nil).event(tests(ip4)).pass(12 * time.Second)
	for range 3 {
		l.event(tests(ip4)).pass(2400 * time.Millisecond).wantActions()
	}
}

// TestRebootIsNotClaimedInItsTest: a machine that restarts without a word leaves
// questions unanswered for a while before its test begins.
func TestRebootIsNotClaimedInItsTest(t *testing.T) {
	for _, change := range []func(*machine.Policy){nil, brisk} {
		for silence := 10 * time.Second; silence < 16*time.Second; silence += 100 * time.Millisecond {
			l := awake(t, change).pass(silence)
			if l.m.State() == machine.Asleep {
				break
			}
			l.event(tests(ip4)).pass(2 * time.Second).event(tests(ip4)).pass(2*time.Second - 1).wantActions()
			l.event(uses(ip4)).up(time.Minute).want(machine.Awake)
		}
	}
}

func TestSettlingGivesUp(t *testing.T) {
	l := newLife(t, nil).event(registered).up(10*time.Minute - 1).want(machine.Settling)
	l.up(2*time.Second).want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyNeverSilent).wantActions(machine.DropPackets{})
	if got := l.tally(); got.SettleTimeouts != 1 || got.ExternalStarts != 0 {
		t.Errorf("tally %+v", got)
	}
}

// TestInterfaceOutWhileItSettles for longer than probe.timeout: that neither claims
// the machine nor leaves it awake for good.
func TestInterfaceOutWhileItSettles(t *testing.T) {
	l := newLife(t, nil).event(registered).as(cut, 20*time.Minute).want(machine.Settling)
	l.pass(4 * time.Second).want(machine.Asleep)

	l = newLife(t, nil).event(registered).as(cut, 20*time.Minute).up(4*time.Second).
		reason(machine.Settling, machine.Awake, machine.WhyNeverSilent)
	l.pass(20 * time.Second).want(machine.Asleep)
}

func TestLateFrameLeadsBackToSettlingNotToAwake(t *testing.T) {
	l := asleep(t, nil).pass(time.Minute).event(uses(ip4)).want(machine.Settling).
		reason(machine.Asleep, machine.Settling, machine.WhySpoke).
		wantActions(quietBoth, machine.Yield{Addrs: only4})
	l.pass(3 * time.Second).want(machine.Asleep).wantActions(claimBoth) // announced anew
	if got := l.tally(); got.ExternalStarts != 0 || got.Slept != time.Minute {
		t.Errorf("tally %+v", got)
	}
}

// TestRepeatedDoubtIsReportedOnce an hour.
func TestRepeatedDoubtIsReportedOnce(t *testing.T) {
	l := asleep(t, nil)
	for range 24 * 60 {
		l.pass(time.Minute).event(frame)
	}
	told := 0
	for _, m := range actions[machine.Moved](l) {
		if !m.Repeated {
			told++
		}
	}
	if told < 2*23 || told > 2*25 {
		t.Errorf("%d moves told in a day, want two an hour", told)
	}
	if n := len(actions[machine.Persist](l)); n > told {
		t.Errorf("%d records for %d moves", n, told)
	}
}

func TestHandStart(t *testing.T) {
	// It tests its addresses first: a word from us about them, and the test fails.
	l := asleep(t, nil).pass(time.Hour).event(tests(ip6)).wantActions(quietBoth, machine.Yield{Addrs: only6})
	l.pass(time.Second).event(uses(ip4)).wantActions(machine.Yield{Addrs: only4})
	l.as(at(ip4), time.Second).want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyStarted).
		wantActions(releaseBoth, announce4)
	// The other address is looked for, and announced when it is in use.
	l.up(200 * time.Millisecond).wantActions(announce6)
	l.up(machine.AnnouncedFor).wantActions(end4, end6)
	if got := l.tally(); got.ExternalStarts != 1 || got.Slept != time.Hour {
		t.Errorf("tally %+v", got)
	}
}

// TestHandStartThatTestsForLong: nothing is said of an address under test for as
// long as a test lasts (9 s, RFC 5227 section 1.1).
func TestHandStartThatTestsForLong(t *testing.T) {
	l := asleep(t, nil).pass(time.Hour)
	for range 4 {
		l.event(tests(ip4)).pass(2400 * time.Millisecond)
	}
	l.wantActions(quietBoth, machine.Yield{Addrs: only4}).want(machine.Settling)
	l.event(uses(ip4)).as(at(ip4), 2*time.Second).want(machine.Awake).wantActions(releaseBoth, announce4)
}

// TestFirmwareUsesTheAddressThatTheSystemThenTests: the announcements of the address
// stop at once, and begin anew when the system uses it.
func TestFirmwareUsesTheAddressThatTheSystemThenTests(t *testing.T) {
	l := asleep(t, nil).pass(time.Hour).event(uses(ip4)).as(at(ip4), 100*time.Millisecond).want(machine.Awake).
		wantActions(quietBoth, machine.Yield{Addrs: only4}, releaseBoth, announce4)
	l.pass(time.Second).event(tests(ip4)).wantActions(machine.StopAnnouncing{Addrs: only4})
	l.pass(2 * time.Second).event(uses(ip4)).want(machine.Awake).wantActions(announce4)
}

func TestAnAddressThatTheMachineDropsIsNeverAnnounced(t *testing.T) {
	l := asleep(t, nil).pass(time.Hour).event(tests(ip4)).forget()
	l.as(at(ip4), time.Minute).want(machine.Awake).wantActions(releaseBoth, announce4, end4, end6)
}

// TestPauseInTheShutdown: hibernation is silent, speaks on while it writes its
// picture, and then is off. It looks like a start by hand, and is not.
func TestPauseInTheShutdown(t *testing.T) {
	l := asleep(t, unwatched).event(uses(ip4)).up(5*time.Second).want(machine.Awake).
		reason(machine.Settling, machine.Awake, machine.WhyStarted)
	l.pass(10*time.Second).want(machine.Asleep).reason(machine.Awake, machine.Settling, machine.WhyUnanswered)

	// One that stays is left alone when its registration is old.
	l.event(uses(ip4)).up(12 * time.Minute).want(machine.Awake)
	if !l.m.Next().IsZero() {
		t.Error("it is watched for ever")
	}
}

func TestLateFramesAndAShortTimeout(t *testing.T) {
	l := asleep(t, func(p *machine.Policy) { p.ProbeTimeout = 4 * time.Second })
	l.event(uses(ip4)).pass(1500 * time.Millisecond).event(frame).pass(5 * time.Second).want(machine.Asleep)
	if got := l.tally().ExternalStarts; got != 0 {
		t.Errorf("two late frames counted as %d starts", got)
	}
}

// TestFirmwareThatAsksForDHCPIsNotAStart, however long it does.
func TestFirmwareThatAsksForDHCPIsNotAStart(t *testing.T) {
	l := asleep(t, nil)
	for range 600 {
		l.event(frame).pass(time.Second)
		if s := l.m.State(); s == machine.Awake {
			t.Fatal("it is taken for awake")
		}
		if len(l.m.Claimed()) != 2 {
			t.Fatal("its addresses are given up")
		}
	}
	l.pass(4 * time.Second).want(machine.Asleep)
	if got := l.tally(); got.ExternalStarts != 0 {
		t.Errorf("tally %+v", got)
	}
}

// TestFaultWokenWhileItSettles: a machine that was sent a magic packet may be
// starting, and is not claimed in the pause of a start, however few misses mean off.
func TestFaultWokenWhileItSettles(t *testing.T) {
	l := newLife(t, brisk).event(registered).pass(200 * time.Millisecond).event(wakeAsked)
	l.pass(2900 * time.Millisecond).want(machine.Settling).pass(200 * time.Millisecond).want(machine.Waking)

	// The porter may have ended the moment after it had sent one.
	l = newLife(t, brisk).event(registered)
	p := policy()
	brisk(&p)
	l.m = machine.Restore(l.m.Memory(), p, l.now, l.now)
	l.pass(2900 * time.Millisecond).want(machine.Settling).pass(200 * time.Millisecond).want(machine.Asleep)
}
