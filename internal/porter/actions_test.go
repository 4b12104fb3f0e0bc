package porter

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/config"
	"nightporter/internal/journal"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// The journal tells a night, and knows the machine after each transition.
func TestHistoryOfANight(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		x.pass(57 * time.Second)
		x.hear(syn(nas4, 22))
		x.pass(5 * time.Second)
		x.up(nas()).open = []uint16{22}
		x.pass(100 * time.Millisecond)
		x.want(e, machine.Awake)
		x.tell(e, machine.WakeAsked{Trigger: machine.ByAPI, By: "test"})
		x.register(nas())
		x.forget(e, "test")
		want := []string{
			"registered, nas, registered, (settling)",
			"asleep, nas, fell silent, (asleep)",
			"knock, nas, 10.77.0.20:22/tcp, tcp, from 10.77.0.10:40000",
			"magic, nas, (waking)",
			"arrived, nas, up, (arriving)",
			"ready, nas, 10.77.0.20:22/tcp, tcp, ready, from 10.77.0.10:40000, boot 5s, (awake)",
			"magic, nas, (awake)",
			"registered, nas, registered, (settling)",
			"forgotten, nas, test",
		}
		if diff := cmp.Diff(want, x.events.lines()); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		if last := x.events.last(); last.Forgotten != nasMAC {
			t.Errorf("the last record forgets %v", last.Forgotten)
		}
	})
}

// A count of knocks must not fall after a crash: each is stored at once, with the
// events of the moment, and these once.
func TestKnockIsStoredAtOnce(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		x.hear(syn(nas4, 22))
		for _, p := range []*lan.Packet{datagram(nas4, game.Number), syn(nas6, 22), datagram(nas6, game.Number)} {
			x.hear(p)
		}
		lines := x.events.lines()
		want := []string{"knock, nas, 10.77.0.20:22/tcp, tcp, from 10.77.0.10:40000", "magic, nas, (waking)", ", (waking)"}
		if diff := cmp.Diff(want, lines[2:]); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		mem := x.events.last().Memory
		if mem.Knocks.Of(ssh) != 1 || mem.Knocks.Of(game) != 1 {
			t.Errorf("stored %v, known %v", mem.Knocks, e.Status().Knocks)
		}
	})
}

// An event that an action leads to is handled after that of the action, and those
// after one another.
func TestEventsInOrder(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.register(nas())
		keep, states := x.n.transmit, []machine.State(nil)
		x.n.transmit = func(frame []byte) error {
			if e.State() == machine.Asleep && states == nil { // its claim is being announced
				x.tell(e, machine.WakeAsked{Trigger: machine.ByAPI, By: "test"})
				x.tell(e, machine.Registered{Spec: nas()})
				states = append(states, e.State())
			}
			return keep(frame)
		}
		x.pass(claimTime)
		if !slices.Equal(states, []machine.State{machine.Asleep}) {
			t.Errorf("while the action was carried out the machine was %v", states)
		}
		want := []string{
			"registered, nas, registered, (settling)", "asleep, nas, fell silent, (asleep)",
			"asked, nas, test, api", "magic, nas, (waking)", "registered, nas, registered, (settling)",
		}
		if diff := cmp.Diff(want, x.events.lines()); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		if len(x.pending) != 0 {
			t.Errorf("%d events are left", len(x.pending))
		}
	})
}

// Late frames, starts by hand and firmware, as the reader and the loop take them
// together. A frame alone proves nothing.
func TestSpeaksInItsSleep(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		for range 2 {
			x.hear(segment(nasMAC, nas4, client4, 443, flagACK)) // a late frame
			x.want(e, machine.Settling, nas6)
			x.pass(4 * time.Second)
			x.want(e, machine.Asleep, nas4, nas6)
		}
		x.hear(&lan.Packet{Kind: lan.UDP, Src: nasMAC, Dst: machine.Broadcast, From: netip.IPv4Unspecified()}) // firmware
		x.want(e, machine.Settling, nas4, nas6)
		x.pass(4 * time.Second)
		x.want(e, machine.Asleep, nas4, nas6)

		x.hear(syn(nas4, 22))
		x.hear(&lan.Packet{Kind: lan.UDP, Src: nasMAC, Dst: machine.Broadcast, From: netip.IPv4Unspecified()})
		x.want(e, machine.Waking, nas4, nas6)
		x.hear(arpTest(nasMAC, nas4))
		x.want(e, machine.Arriving)
		x.pass(4 * time.Second) // silent again
		x.want(e, machine.Waking, nas4, nas6)
		if !slices.Equal(e.joined, []netip.Addr{nas6}) {
			t.Errorf("in the groups of %v, want one membership", e.joined)
		}
		x.up(nas()).open = []uint16{22}
		x.pass(200 * time.Millisecond)
		x.want(e, machine.Awake)
		if len(e.joined) != 0 {
			t.Errorf("still in the groups of %v", e.joined)
		}
	})
}

// A frame ends the announcements of a claim, for the machine may be about to test its
// addresses. They begin again when it sleeps on.
func TestAnnouncedAgainAfterALateFrame(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		x.hear(&lan.Packet{Kind: lan.UDP, Src: nasMAC, Dst: machine.Broadcast, From: netip.IPv4Unspecified()})
		x.want(e, machine.Settling, nas4, nas6)
		x.forgetSent()
		x.pass(2900 * time.Millisecond)
		if owners := x.announced(nas4); owners != nil {
			t.Errorf("announced at %v while it is in doubt", owners)
		}
		x.pass(8 * time.Second)
		x.want(e, machine.Asleep, nas4, nas6)
		for _, ip := range []netip.Addr{nas4, nas6} {
			if owners := x.announced(ip); len(owners) != 4 {
				t.Errorf("%v announced at %v afterwards, want four times", ip, owners)
			}
		}
	})
}

// A machine that is started by hand is not counted among the wakes, and its
// addresses are its own at once.
func TestStartedByHand(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		x.pass(time.Minute)
		x.up(nas())
		x.hear(arpUse(nasMAC, nas4))
		x.turn()
		x.pass(100 * time.Millisecond)
		x.want(e, machine.Awake)
		if s := e.Status(); s.Tally.ExternalStarts != 1 || s.Tally.Attempts != 0 || s.Slept(time.Now()) < time.Minute {
			t.Errorf("%+v", s.Tally)
		}
		if last := x.events.last().Event; last.Kind != journal.HandStart {
			t.Errorf("the last event is %s", last.Kind)
		}
	})
}

// An address that another host uses is left to it at once.
func TestConflictReleases(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		x.hear(arpUse(strangerMAC, nas4))
		x.announced(nas4)
		x.want(e, machine.Asleep, nas6)
		for range 3 {
			x.pass(3 * time.Second)
			x.hear(arpUse(strangerMAC, nas4))
		}
		if owners := x.announced(nas4); owners != nil {
			t.Errorf("announced at %v against the host that uses it", owners)
		}
		if n := x.logged("address conflict"); n != 1 || e.Status().Tally.Conflicts != 1 {
			t.Errorf("%d conflicts, %d log lines about them, want 1", e.Status().Tally.Conflicts, n)
		}
		x.hear(syn(nas4, 22)) // at the other host, as it seems
		x.want(e, machine.Asleep, nas6)
		x.hear(syn(nas6, 22))
		x.want(e, machine.Waking, nas6)
	})
}

// It is taken back when the other host answers for it no more, and that is told.
func TestConflictIsOver(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		x.hear(arpUse(strangerMAC, nas4))
		x.want(e, machine.Asleep, nas6)
		x.pass(time.Minute)
		x.want(e, machine.Asleep, nas4, nas6)
		if x.logged("address conflict over") != 1 || !slices.Contains(x.events.lines(), "conflict_over, nas, 10.77.0.20, (asleep)") {
			t.Errorf("history %q", x.events.lines())
		}
		x.hear(syn(nas4, 22))
		x.want(e, machine.Waking, nas4, nas6)
	})
}

// A knock at an address that turns out to be another's does not hold up the
// handover of a machine that is up at the rest of its addresses.
func TestConflictWhileWaking(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		x.hear(syn(nas4, 22))
		x.want(e, machine.Waking, nas4, nas6)
		x.hear(arpUse(strangerMAC, nas4))
		x.pass(5 * time.Second)
		x.hear(ndTest(nasMAC, nas6))
		x.want(e, machine.Arriving)
		x.up(at(nas(), nas6))
		x.pass(200 * time.Millisecond)
		x.want(e, machine.Awake)
	})
}

// An address that was left to another host, and that this host then registers,
// is the new owner's in every view.
func TestConcededAddressBelongsToItsNewOwner(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		first := x.asleep(nas())
		x.hear(arpUse(tvMAC, nas4))
		if !first.Conceded(nas4) {
			t.Fatal("no conflict")
		}
		for range 20 { // a view is made from a map
			e := x.register(at(tv(), nas4))
			if got := x.n.reader.View().Address(nas4); got.Target() != e.target {
				t.Fatalf("%v is still at the machine that conceded it", nas4)
			}
		}
	})
}

// A machine that arrives does not end the announcements of another, to which it
// has lost an address.
func TestYieldLeavesOthersAnnouncements(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.asleep(nas())
		x.hear(arpUse(tvMAC, nas4))
		x.register(at(tv(), nas4))
		x.pass(3100 * time.Millisecond)
		x.forgetSent()
		x.hear(syn(nas6, 22))
		x.hear(ndTest(nasMAC, nas6))
		x.pass(8 * time.Second)
		if n := len(x.announced(nas4)); n != 3 {
			t.Errorf("announced %d times more, want 3", n)
		}
	})
}

// An address of a machine that does not wake is left to a host that tests it.
func TestUndefendedAddress(t *testing.T) {
	withLoop(t, func(c *config.Config) { c.Wake.Attempts, c.Wake.Interval = 1, time.Second }, func(x *fixture) {
		e := x.asleep(nas())
		x.hear(arpTest(strangerMAC, nas4))
		x.want(e, machine.Asleep, nas4, nas6) // that defends it
		x.hear(syn(nas4, 22))
		x.pass(2 * time.Second)
		x.want(e, machine.Asleep, nas4, nas6)
		x.hear(arpTest(strangerMAC, nas4))
		x.want(e, machine.Asleep, nas6)
		if x.logged("left to a host that tests it") != 1 {
			t.Errorf("the log:\n%s", &x.output)
		}
	})
}

// A host without a clock of its own sets it after the start. The time between the
// kernel's clock and ours is no latency then.
func TestFaultClockSetDuringAKnock(t *testing.T) {
	const years = 50 * 365 * 24 * time.Hour
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		knock := syn(nas4, 22)
		knock.Time = time.Now().Add(-years)
		x.hear(knock)
		x.want(e, machine.Waking, nas4, nas6)
		if n, sum := x.latencies(); n != 0 {
			t.Errorf("%d wake latencies of %v s, want none", n, sum)
		}
	})
}

// The latency of a knock is not that of a wake that has nothing to do with it.
func TestLatencyOfAnotherWake(t *testing.T) {
	withLoop(t, func(c *config.Config) { c.Wake.Holdoff = 10 * time.Second }, func(x *fixture) {
		e := x.asleep(nas())
		knock := syn(nas4, 22)
		knock.Time = time.Now()
		x.hear(knock) // held off
		x.up(nas()).open = []uint16{22}
		x.hear(arpUse(nasMAC, nas4)) // and then it is started by hand
		x.pass(time.Second)
		x.want(e, machine.Awake)
		x.pass(time.Hour)
		x.tell(e, machine.WakeAsked{Trigger: machine.ByAPI, By: "test"})
		if n, sum := x.latencies(); n != 0 {
			t.Errorf("%d wake latencies of %v s for a wake through the API", n, sum)
		}
	})
}
