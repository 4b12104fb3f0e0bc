package machine_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/machine"
)

func TestRegisteredMachineSettlesThenIsClaimed(t *testing.T) {
	l := newLife(t, nil).want(machine.Awake)
	l.event(machine.Registered{Spec: spec()}).want(machine.Settling).reason(machine.Awake, machine.Settling, machine.WhyRegistered)
	l.pass(2900 * time.Millisecond).want(machine.Settling).wantActions()
	l.pass(100*time.Millisecond).want(machine.Asleep).reason(machine.Settling, machine.Asleep, machine.WhySilent).
		wantActions(machine.Claim{Addrs: both})
}

func TestSettlingProbesTheMachineAndLastOfAllEverybody(t *testing.T) {
	l := newLife(t, nil).event(machine.Registered{Spec: spec()}).pass(3 * time.Second)
	var broadcast []bool
	for _, a := range l.log {
		if p, ok := a.(machine.Probe); ok {
			broadcast = append(broadcast, p.Broadcast)
		}
	}
	if d := cmp.Diff([]bool{false, false, true}, broadcast); d != "" {
		t.Error(d)
	}
}

// The first probe is due at once, and not sent by the event itself: its answer
// would come before anybody watches for it.
func TestTheFirstProbeIsDueAndNotSent(t *testing.T) {
	l := newLife(t, nil).event(machine.Registered{Spec: spec()})
	for _, a := range l.log {
		if _, probe := a.(machine.Probe); probe {
			t.Error("probed by the registration")
		}
	}
	if !l.m.Next().Equal(l.now) {
		t.Errorf("due at %v, want now", l.m.Next())
	}
}

func TestSettlingWaitsWhileTheMachineSpeaks(t *testing.T) {
	l := newLife(t, nil).event(machine.Registered{Spec: spec()})
	for range 20 {
		l.pass(1900 * time.Millisecond).event(machine.Heard{Addr: ip4}).want(machine.Settling)
	}
	// Its very last frame says nothing about its address, and counts as well.
	l.pass(1900 * time.Millisecond).event(machine.Heard{}).wantActions()
	l.pass(3 * time.Second).want(machine.Settling)
	l.pass(time.Second).want(machine.Asleep)
}

func TestSettlingGivesUp(t *testing.T) {
	l := newLife(t, nil).event(machine.Registered{Spec: spec()})
	for range 601 {
		l.pass(time.Second).event(machine.Heard{Addr: ip4})
	}
	l.want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyNeverSilent).wantActions()
	if got := l.m.Status().Tally; got.SettleTimeouts != 1 || got.ExternalStarts != 0 {
		t.Errorf("tally %+v", got)
	}
}

func TestLateFrameLeadsBackToSettlingNotToAwake(t *testing.T) {
	l := asleep(t, nil).pass(time.Second).event(machine.Heard{Addr: ip4, InUse: true}).want(machine.Settling).
		reason(machine.Asleep, machine.Settling, machine.WhySpoke).
		wantActions(releaseBoth, machine.Announce{Addrs: both[:1]})
	l.pass(4 * time.Second).want(machine.Asleep).wantActions(machine.Claim{Addrs: both})
	if got := l.m.Status().Tally.ExternalStarts; got != 0 {
		t.Errorf("a late frame counted as %d starts", got)
	}
}

func TestHandStart(t *testing.T) {
	// It tests its addresses first: a word from us about them, and the test fails.
	l := asleep(t, nil).pass(time.Hour).event(machine.Heard{Addr: ip6}).wantActions(releaseBoth)
	l.pass(time.Second).event(machine.Heard{Addr: ip4, InUse: true}).wantActions(machine.Announce{Addrs: both[:1]})
	for range 3 {
		l.pass(time.Second).event(machine.Heard{Addr: ip4, InUse: true}) // it answers the probes
	}
	l.want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyStarted).wantActions()
	// The other address is looked for, and announced when it is in use.
	if !l.m.Watched() {
		t.Fatal("the IPv6 address is forgotten")
	}
	l.pass(time.Second).event(machine.Heard{Addr: ip6, InUse: true}).wantActions(machine.Announce{Addrs: both[1:]})
	l.pass(machine.AnnouncedFor)
	if l.m.Watched() || !l.m.Next().IsZero() {
		t.Error("something is still owed")
	}
	if got := l.m.Status().Tally.ExternalStarts; got != 1 {
		t.Errorf("%d external starts, want 1", got)
	}
}

// TestFirmwareUsesTheAddressThatTheSystemThenTests: what we say about it stops at
// once, and is said again when the system uses it.
func TestFirmwareUsesTheAddressThatTheSystemThenTests(t *testing.T) {
	l := asleep(t, nil).pass(time.Hour).event(machine.Heard{Addr: ip4, InUse: true}).
		wantActions(releaseBoth, machine.Announce{Addrs: both[:1]})
	l.pass(2 * time.Second).event(machine.Heard{Addr: ip4}).wantActions(machine.Hush{Addrs: both[:1]})
	l.pass(2 * time.Second).event(machine.Heard{Addr: ip4, InUse: true}).want(machine.Awake).
		wantActions(machine.Announce{Addrs: both[:1]})
}

func TestAnAddressThatTheMachineDropsIsNeverAnnounced(t *testing.T) {
	l := asleep(t, nil).pass(time.Hour).event(machine.Heard{Addr: ip4}).forget()
	for range 4 {
		l.pass(time.Second).event(machine.Heard{Addr: ip4, InUse: true})
	}
	l.want(machine.Awake).wantActions(machine.Announce{Addrs: both[:1]}).pass(time.Minute).wantActions(partBoth)
	if l.m.Watched() || !l.m.Next().IsZero() {
		t.Error("it is looked for for ever")
	}
}

// TestPauseInTheShutdown: hibernation is silent, speaks on while it writes its
// picture, and then is off. It looks like a start by hand, and is not.
func TestPauseInTheShutdown(t *testing.T) {
	l := asleep(t, nil)
	for range 5 {
		l.pass(time.Second).event(machine.Heard{Addr: ip4, InUse: true})
	}
	l.want(machine.Awake).reason(machine.Settling, machine.Awake, machine.WhyStarted)
	l.pass(10*time.Second).want(machine.Asleep).reason(machine.Awake, machine.Settling, machine.WhySilentAgain)

	// One that stays is left alone when its registration is old.
	l.event(machine.Heard{Addr: ip4, InUse: true})
	for range 700 {
		l.pass(time.Second).event(machine.Heard{Addr: ip4, InUse: true})
	}
	l.want(machine.Awake)
	if l.m.Watched() || !l.m.Next().IsZero() {
		t.Error("it is watched for ever")
	}
}

func TestLateFramesAndAShortTimeout(t *testing.T) {
	l := asleep(t, func(p *machine.Policy) { p.ProbeTimeout = 4 * time.Second })
	l.event(machine.Heard{Addr: ip4}).pass(1500 * time.Millisecond).event(machine.Heard{})
	l.pass(5 * time.Second).want(machine.Asleep)
	if got := l.m.Status().Tally.ExternalStarts; got != 0 {
		t.Errorf("two late frames counted as %d starts", got)
	}
}

func TestFirmwareThatAsksForDHCPIsNotAStart(t *testing.T) {
	l := asleep(t, nil).event(machine.Heard{})
	for range 5 {
		l.pass(time.Second).event(machine.Heard{}).want(machine.Settling)
	}
	l.pass(4 * time.Second).want(machine.Asleep)
}

func TestMachineThatSpeaksForNoneOfItsAddressesForeverIsLeftAlone(t *testing.T) {
	l := asleep(t, nil).event(machine.Heard{})
	for range 601 {
		l.pass(time.Second).event(machine.Heard{})
	}
	l.want(machine.Awake)
	if got := l.m.Status().Tally.ExternalStarts; got != 1 {
		t.Errorf("%d external starts, want 1", got)
	}
}

// TestFaultWokenWhileItSettles: who was sent a magic packet may be starting, and is
// not claimed in the pause of a start, however short the silence is that means off.
func TestFaultWokenWhileItSettles(t *testing.T) {
	brisk := func(p *machine.Policy) { p.ProbeInterval = 100 * time.Millisecond }
	settling := func() *life { return newLife(t, brisk).event(machine.Registered{Spec: spec()}) }
	l := settling().pass(200 * time.Millisecond).event(machine.WakeAsked{Trigger: machine.ByAPI})
	l.pass(2900 * time.Millisecond).want(machine.Settling).pass(200 * time.Millisecond).want(machine.Waking)

	// The porter may have ended the moment after it had sent one.
	l = settling()
	p := policy()
	brisk(&p)
	l.m = machine.Resume(l.m.Memory(), p, l.now, l.now)
	l.pass(2900 * time.Millisecond).want(machine.Settling).pass(200 * time.Millisecond).want(machine.Asleep)
}
