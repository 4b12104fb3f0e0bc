package machine_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nightporter/internal/machine"
)

var (
	nasMAC   = machine.MAC{0x02, 0, 0, 0, 0, 0x0a}
	otherMAC = machine.MAC{0x02, 0, 0, 0, 0, 0x0b}
	ip4      = netip.MustParseAddr("10.77.0.20")
	ip6      = netip.MustParseAddr("fd77::20")
	ssh      = machine.Service{Addr: ip4, Port: machine.Port{Protocol: machine.TCP, Number: 22}}
	game     = machine.Service{Addr: ip6, Port: machine.Port{Protocol: machine.UDP, Number: 27015}}
	client   = netip.MustParseAddrPort("10.77.0.10:40000")
)

func spec() machine.Spec {
	return machine.Spec{
		Name: "nas", MAC: nasMAC, IdleWatts: 52, SleepWatts: 2,
		Monitor: []machine.Address{
			{IP: ip4, Ports: []machine.Port{ssh.Port}},
			{IP: ip6, Ports: []machine.Port{game.Port}},
		},
	}
}

func policy() machine.Policy {
	return machine.Policy{
		ProbeInterval: time.Second, ProbeMisses: 3, ProbeTimeout: 10 * time.Minute,
		WakeAttempts: 3, WakeInterval: 15 * time.Second, Keep: true, ReadyTimeout: time.Minute,
	}
}

// life drives one machine through time and keeps what it asked for.
type life struct {
	t   *testing.T
	m   *machine.Machine
	now time.Time
	log []machine.Action // since the last call of did or wantState
}

func newLife(t *testing.T, change func(*machine.Policy)) *life {
	t.Helper()
	p := policy()
	if change != nil {
		change(&p)
	}
	now := time.Date(2026, 11, 22, 22, 0, 0, 0, time.UTC)
	return &life{t: t, m: machine.New(spec(), p, now), now: now}
}

func (l *life) event(e machine.Event) *life {
	l.log = append(l.log, l.m.Handle(l.now, e)...)
	return l
}

// pass lets time go by and delivers every tick when it is due.
func (l *life) pass(d time.Duration) *life {
	l.t.Helper()
	end := l.now.Add(d)
	for n := 0; ; n++ {
		due := l.m.Next()
		if due.IsZero() || due.After(end) {
			break
		}
		if n > 100_000 {
			l.t.Fatal("ticks do not advance the time")
		}
		if due.After(l.now) {
			l.now = due
		}
		l.event(machine.Ticked{})
	}
	l.now = end
	return l
}

func (l *life) forget() *life { l.log = nil; return l }

func (l *life) want(s machine.State) *life {
	l.t.Helper()
	if got := l.m.State(); got != s {
		l.t.Fatalf("state is %v, want %v; so far:\n%s", got, s, l.story())
	}
	return l
}

// story tells the actions in short lines, probes left out.
func (l *life) story() string {
	var b strings.Builder
	for _, a := range l.log {
		if _, probe := a.(machine.Probe); !probe {
			fmt.Fprintf(&b, "%T%+v\n", a, a)
		}
	}
	return b.String()
}

func (l *life) wantActions(want ...machine.Action) *life {
	l.t.Helper()
	var got []machine.Action
	for _, a := range l.log {
		switch a.(type) {
		case machine.Probe, machine.Moved:
		default:
			got = append(got, a)
		}
	}
	opts := cmp.Options{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }), cmpopts.EquateEmpty()}
	if d := cmp.Diff(want, got, opts); d != "" {
		l.t.Fatalf("actions (-want +got):\n%s", d)
	}
	l.log = nil
	return l
}

func (l *life) reason(from, to machine.State, why machine.Reason) *life {
	l.t.Helper()
	for _, a := range l.log {
		if m, ok := a.(machine.Moved); ok && m.From == from && m.To == to && m.Why == why {
			return l
		}
	}
	l.t.Fatalf("no move %v -> %v (%s); so far:\n%s", from, to, why, l.story())
	return l
}

func asleep(t *testing.T, change func(*machine.Policy)) *life {
	t.Helper()
	return newLife(t, change).event(machine.Registered{Spec: spec()}).pass(3 * time.Second).want(machine.Asleep).forget()
}

func waking(t *testing.T, change func(*machine.Policy)) *life {
	t.Helper()
	return asleep(t, change).event(machine.Knocked{Service: ssh, Source: client}).want(machine.Waking).forget()
}

func arriving(t *testing.T, change func(*machine.Policy)) *life {
	t.Helper()
	return waking(t, change).pass(5 * time.Second).event(machine.Heard{Addr: ip4}).want(machine.Arriving).forget()
}

var (
	both        = []netip.Addr{ip4, ip6}
	knockOnSSH  = machine.WakeBegan{Trigger: machine.ByTCP, Service: ssh, Source: client}
	releaseBoth = machine.Release{Addrs: both}
	tellBoth    = machine.Announce{Addrs: both}
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
	l.pass(2 * time.Second).event(machine.Heard{Addr: ip4}).wantActions(machine.Hush{Addr: ip4})
	l.pass(2 * time.Second).event(machine.Heard{Addr: ip4, InUse: true}).want(machine.Awake).
		wantActions(machine.Announce{Addrs: both[:1]})
}

func TestAnAddressThatTheMachineDropsIsNeverAnnounced(t *testing.T) {
	l := asleep(t, nil).pass(time.Hour).event(machine.Heard{Addr: ip4}).forget()
	for range 4 {
		l.pass(time.Second).event(machine.Heard{Addr: ip4, InUse: true})
	}
	l.want(machine.Awake).wantActions(machine.Announce{Addrs: both[:1]}).pass(time.Minute).wantActions()
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

func TestKnockWakes(t *testing.T) {
	l := asleep(t, nil).pass(time.Hour).event(machine.Knocked{Service: ssh, Source: client}).want(machine.Waking).
		reason(machine.Asleep, machine.Waking, machine.WhyKnock).wantActions(knockOnSSH, machine.SendMagic{Attempt: 1})
	l.pass(8 * time.Second).event(machine.Heard{}).want(machine.Waking).wantActions() // firmware
	l.pass(2*time.Second).event(machine.Heard{Addr: ip4, InUse: true}).want(machine.Arriving).
		reason(machine.Waking, machine.Arriving, machine.WhyArrived).
		wantActions(machine.Yield{}, machine.HandOver{Services: []machine.Service{ssh}})
	l.pass(500*time.Millisecond).event(machine.ServicesReady{}).want(machine.Awake).
		reason(machine.Arriving, machine.Awake, machine.WhyReady).
		wantActions(releaseBoth, machine.Announce{Addrs: both[:1]},
			machine.WakeEnded{Boot: 10 * time.Second, Ready: 10500 * time.Millisecond})
	// Its IPv6 address was still being tested.
	l.pass(time.Second).event(machine.Heard{Addr: ip6, InUse: true}).wantActions(machine.Announce{Addrs: both[1:]})

	got := l.m.Status()
	if got.Tally.Wakes[machine.ByTCP] != 1 || got.Tally.Attempts != 1 || got.Tally.ExternalStarts != 0 {
		t.Errorf("tally %+v", got.Tally)
	}
	if got.Tally.Slept != time.Hour || got.Tally.SavedJoules != 3600*50 {
		t.Errorf("slept %v, saved %v J; want 1h and 180000 J", got.Tally.Slept, got.Tally.SavedJoules)
	}
}

func TestWakeAskedFor(t *testing.T) {
	asked := machine.WakeAsked{Trigger: machine.ByAPI, By: "10.77.0.10"}
	asleep(t, nil).event(asked).want(machine.Waking).reason(machine.Asleep, machine.Waking, machine.WhyAsked).
		wantActions(machine.WakeBegan{Trigger: machine.ByAPI, By: "10.77.0.10"}, machine.SendMagic{Attempt: 1}).
		event(asked).want(machine.Waking).wantActions()

	// While it settles the wish is kept until it is surely off; until then one
	// packet, because a network card can answer for a machine that is.
	newLife(t, nil).event(machine.Registered{Spec: spec()}).event(asked).wantActions(machine.SendMagic{Attempt: 1}).
		pass(3*time.Second).want(machine.Waking).
		wantActions(machine.Claim{Addrs: both}, machine.WakeBegan{Trigger: machine.ByAPI, By: "10.77.0.10"}, machine.SendMagic{Attempt: 1})

	newLife(t, nil).event(asked).want(machine.Awake).wantActions(machine.SendMagic{Attempt: 1})
	arriving(t, nil).event(asked).want(machine.Arriving).wantActions()
}

func TestMagicPacketsAreRepeatedThenTheWakeFails(t *testing.T) {
	l := asleep(t, nil).event(machine.Knocked{Service: game, Source: client})
	l.pass(44 * time.Second).want(machine.Waking)
	l.pass(time.Second).want(machine.Asleep).reason(machine.Waking, machine.Asleep, machine.WhyAttemptsGone).wantActions(
		machine.WakeBegan{Trigger: machine.ByUDP, Service: game, Source: client},
		machine.SendMagic{Attempt: 1}, machine.SendMagic{Attempt: 2}, machine.SendMagic{Attempt: 3},
		machine.WakeFailed{Trigger: machine.ByUDP, Attempts: 3})
	if got := l.m.Status().Tally; got.Failures[machine.ByUDP] != 1 || got.Attempts != 3 {
		t.Errorf("tally %+v", got)
	}
	// It is still claimed, and the next knock tries again.
	l.event(machine.Knocked{Service: ssh, Source: client}).want(machine.Waking).
		wantActions(knockOnSSH, machine.SendMagic{Attempt: 1})
}

func TestFailedWakeWithoutKeepForgets(t *testing.T) {
	l := waking(t, func(p *machine.Policy) { p.Keep = false; p.WakeAttempts = 1 })
	l.pass(15*time.Second).wantActions(machine.WakeFailed{Trigger: machine.ByTCP, Attempts: 1}, releaseBoth, tellBoth, machine.Forget{})
}

func TestHoldoffDelaysTheFirstMagicPacket(t *testing.T) {
	holdoff := func(p *machine.Policy) { p.Holdoff = 10 * time.Second }
	l := asleep(t, holdoff).pass(4 * time.Second).event(machine.Knocked{Service: ssh, Source: client}).want(machine.Waking)
	l.pass(5 * time.Second).wantActions(knockOnSSH)
	l.pass(time.Second).wantActions(machine.SendMagic{Attempt: 1})

	// A frame before the first magic packet is none of our doing.
	l = asleep(t, holdoff).event(machine.Knocked{Service: ssh, Source: client}).forget()
	l.pass(time.Second).event(machine.Heard{Addr: ip4}).want(machine.Settling).wantActions(releaseBoth)
	goesOn := knockOnSSH
	goesOn.GoesOn = true
	l.pass(4*time.Second).want(machine.Waking).wantActions(machine.Claim{Addrs: both}, goesOn)
	l.pass(10 * time.Second).wantActions(machine.SendMagic{Attempt: 1})
	if got := l.m.Status().Tally.Wakes[machine.ByTCP]; got != 1 {
		t.Errorf("one wake counted as %d", got)
	}
}

func TestFirmwareThatSpeaksForTheAddressAndFallsSilent(t *testing.T) {
	l := arriving(t, nil).pass(3*time.Second).want(machine.Waking).
		reason(machine.Arriving, machine.Waking, machine.WhyFirmware).wantActions(machine.Claim{Addrs: both})
	// The attempts go on from where they were: 15 s after the first.
	l.pass(6999 * time.Millisecond).wantActions()
	l.pass(time.Millisecond).wantActions(machine.SendMagic{Attempt: 2})
	l.pass(time.Second).event(machine.Heard{Addr: ip4}).forget().event(machine.ServicesReady{}).
		wantActions(releaseBoth, machine.WakeEnded{Boot: 16 * time.Second, Ready: 16 * time.Second})

	// With its attempts used up it still gets one interval to boot.
	l = arriving(t, func(p *machine.Policy) { p.WakeAttempts = 1 }).pass(17 * time.Second).want(machine.Waking)
	l.pass(time.Second).want(machine.Asleep)
}

func TestArrivingHandsOverUnreadyAfterTheTimeout(t *testing.T) {
	l := arriving(t, nil)
	for range 60 {
		l.pass(time.Second).event(machine.Heard{})
	}
	l.want(machine.Awake).reason(machine.Arriving, machine.Awake, machine.WhyNotReady).
		wantActions(releaseBoth, machine.WakeEnded{Boot: 5 * time.Second, Ready: 65 * time.Second})
}

func TestKnockOnAnotherServiceWhileItArrives(t *testing.T) {
	arriving(t, nil).event(machine.Knocked{Service: game, Source: client}).
		wantActions(machine.HandOver{Services: []machine.Service{ssh, game}}).
		event(machine.Knocked{Service: game, Source: client}).wantActions()
	waking(t, nil).event(machine.Knocked{Service: game, Source: client}).wantActions().
		event(machine.Heard{Addr: ip6}).
		wantActions(machine.Yield{}, machine.HandOver{Services: []machine.Service{ssh, game}})
}

func TestKnockFromAStaleNeighbourEntryWhileItSettles(t *testing.T) {
	asleep(t, nil).event(machine.Heard{Addr: ip4}).event(machine.Knocked{Service: ssh, Source: client}).
		want(machine.Settling).wantActions(releaseBoth).
		event(machine.Knocked{Service: game, Source: client}).
		pass(4*time.Second).want(machine.Waking).
		wantActions(machine.Claim{Addrs: both}, knockOnSSH, machine.SendMagic{Attempt: 1})
}

func TestRegistrationIsWelcomeInEveryState(t *testing.T) {
	goesOn := knockOnSSH
	goesOn.GoesOn = true
	moved := spec()
	moved.Monitor = moved.Monitor[:1]
	for _, start := range []struct {
		state machine.State
		life  func(*testing.T, func(*machine.Policy)) *life
		want  []machine.Action // until it is asleep again
	}{
		{machine.Awake, newLife, []machine.Action{machine.Claim{Addrs: both[:1]}}},
		{machine.Settling, func(t *testing.T, c func(*machine.Policy)) *life {
			return newLife(t, c).event(machine.Registered{Spec: spec()}).pass(2 * time.Second).forget()
		}, []machine.Action{machine.Claim{Addrs: both[:1]}}},
		{machine.Asleep, asleep, []machine.Action{releaseBoth, tellBoth, machine.Claim{Addrs: both[:1]}}},
		{machine.Waking, waking, []machine.Action{releaseBoth, tellBoth, machine.Claim{Addrs: both[:1]}, goesOn, machine.SendMagic{Attempt: 1}}},
		{machine.Arriving, arriving, []machine.Action{releaseBoth, tellBoth, machine.Claim{Addrs: both[:1]}}},
	} {
		t.Run(start.state.String(), func(t *testing.T) {
			l := start.life(t, nil).want(start.state)
			l.event(machine.Registered{Spec: moved}).want(machine.Settling).pass(3 * time.Second).wantActions(start.want...)
		})
	}
}

func TestConflictLeavesTheAddressToTheOther(t *testing.T) {
	seen := machine.ConflictSeen{Addr: ip4, By: otherMAC}
	l := asleep(t, nil).event(machine.Conflicted{Addr: ip4, By: otherMAC}).want(machine.Asleep).
		wantActions(seen, machine.Release{Addrs: both[:1]})
	l.event(machine.Conflicted{Addr: ip4, By: otherMAC}).wantActions() // told once
	l.event(machine.Heard{Addr: ip6}).wantActions(machine.Release{Addrs: both[1:]})
	l.pass(4 * time.Second).want(machine.Asleep).wantActions(machine.Claim{Addrs: both[1:]})
	l.event(machine.Registered{Spec: spec()}).forget().pass(3 * time.Second).wantActions(machine.Claim{Addrs: both})
	if got := l.m.Status().Tally.Conflicts; got != 1 {
		t.Errorf("%d conflicts, want 1", got)
	}

	// Found before the claim, the address is never taken.
	newLife(t, nil).event(machine.Registered{Spec: spec()}).event(machine.Conflicted{Addr: ip4, By: otherMAC}).
		pass(3*time.Second).wantActions(seen, machine.Hush{Addr: ip4}, machine.Claim{Addrs: both[1:]})
	// An address that is not the machine's, or a machine that is up, is none of our business.
	asleep(t, nil).event(machine.Conflicted{Addr: client.Addr(), By: otherMAC}).wantActions()
	newLife(t, nil).event(machine.Conflicted{Addr: ip4, By: otherMAC}).wantActions()
}

func TestStopReleases(t *testing.T) {
	asleep(t, nil).event(machine.Stopped{}).wantActions(releaseBoth, tellBoth)
	asleep(t, nil).event(machine.Stopped{Wake: true}).wantActions(releaseBoth, tellBoth, machine.SendMagic{Attempt: 1})
	waking(t, nil).event(machine.Stopped{Wake: true}).wantActions(releaseBoth, tellBoth, machine.SendMagic{Attempt: 1})
	newLife(t, nil).event(machine.Registered{Spec: spec()}).event(machine.Stopped{Wake: true}).
		wantActions(machine.SendMagic{Attempt: 1})
	arriving(t, nil).event(machine.Stopped{}).wantActions(releaseBoth)
	arriving(t, nil).event(machine.Heard{Addr: ip6, InUse: true}).event(machine.Stopped{}).
		wantActions(releaseBoth, machine.Announce{Addrs: both[1:]})
	newLife(t, nil).event(machine.Stopped{Wake: true}).wantActions()
}

func TestPolicyChangeTakesEffectWithoutAMove(t *testing.T) {
	p := policy()
	p.WakeAttempts = 1
	l := waking(t, nil).event(machine.PolicyChanged{Policy: p}).want(machine.Waking).wantActions()
	l.pass(15 * time.Second).want(machine.Asleep).wantActions(machine.WakeFailed{Trigger: machine.ByTCP, Attempts: 1})
}

func TestEarlyTicksDoNothing(t *testing.T) {
	l := newLife(t, nil).event(machine.Registered{Spec: spec()}).forget()
	for range 10 {
		l.event(machine.Ticked{})
	}
	if len(l.log) != 0 {
		t.Errorf("early ticks led to %v", l.log)
	}
}

func TestStatusCountsThePresentSleep(t *testing.T) {
	l := asleep(t, nil).pass(time.Hour)
	s := l.m.Status()
	if got := s.Slept(l.now); got != time.Hour {
		t.Errorf("slept %v, want 1h", got)
	}
	if got := s.SavedJoules(l.now); got != 180_000 {
		t.Errorf("saved %v J, want 180000", got)
	}
}
