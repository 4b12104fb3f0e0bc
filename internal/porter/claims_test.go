package porter

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"nightporter/internal/config"
	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
)

// A frame ends the announcements of a claim, for the machine may be about to test its
// addresses. They begin again when it sleeps on.
func TestAnnouncedAgainAfterALateFrame(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		x.hear(&lan.Packet{Kind: lan.UDP, Src: nasMAC, Dst: ether.Broadcast, From: netip.IPv4Unspecified()})
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

// It is taken back when the other host answers for it no more, and an event says so.
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
		x.hear(lantest.DAD(nasMAC, nas6))
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
		x.hear(lantest.DAD(nasMAC, nas6))
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
		x.hear(lantest.ARPProbe(strangerMAC, nas4))
		x.want(e, machine.Asleep, nas4, nas6) // that defends it
		x.hear(syn(nas4, 22))
		x.pass(2 * time.Second)
		x.want(e, machine.Asleep, nas4, nas6)
		x.hear(lantest.ARPProbe(strangerMAC, nas4))
		x.want(e, machine.Asleep, nas6)
		if x.logged("left to a host that tests it") != 1 {
			t.Errorf("the log:\n%s", &x.output)
		}
	})
}
