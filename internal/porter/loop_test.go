package porter

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/config"
	"nightporter/internal/ether"
	"nightporter/internal/fastpath"
	"nightporter/internal/handover"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
	"nightporter/internal/wakefilter"
)

// One whole sleep: claim, announce, knock, wake, hand back.
func TestOneSleep(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.register(nas())
		x.want(e, machine.Settling)
		x.pass(2900 * time.Millisecond)
		x.want(e, machine.Settling)
		claimed := time.Now().Add(100 * time.Millisecond)
		x.pass(200 * time.Millisecond)
		x.want(e, machine.Asleep, nas4, nas6)
		x.pass(10 * time.Second)
		wantClaimAnnounced(x, claimed)
		if !slices.Equal(e.groups, []netip.Addr{nas6}) {
			t.Errorf("in the solicited-node groups of %v", e.groups)
		}
		x.forgetSent()

		knock := syn(nas4, 22)
		knock.Time = time.Now().Add(-time.Millisecond)
		x.hear(knock)
		x.want(e, machine.Waking, nas4, nas6)
		if n, sum := x.latencies(); n != 1 || sum != 0.001 {
			t.Errorf("%d wake latencies of %v s, want one of 1 ms", n, sum)
		}
		if x.logged(`knock="10.77.0.10:40000 -> 10.77.0.20:22/tcp"`) == 0 {
			t.Errorf("the log does not say who knocked:\n%s", &x.output)
		}
		x.pass(5 * time.Second)
		x.hear(lantest.ARPProbe(nasMAC, nas4))
		x.want(e, machine.Arriving)
		up := x.up(nas())
		x.pass(time.Second)
		x.want(e, machine.Arriving)
		up.open = []uint16{ssh.Number}
		x.pass(300 * time.Millisecond)
		x.want(e, machine.Awake)
		for _, ip := range []netip.Addr{nas4, nas6} {
			if owners := x.announced(ip); !slices.Equal(owners, []ether.MAC{nasMAC}) {
				t.Errorf("%v announced at %v after the handover", ip, owners)
			}
		}
		if len(e.groups) != 0 {
			t.Errorf("still in the solicited-node groups of %v", e.groups)
		}
		x.pass(machine.AnnouncedFor)
		if in := x.n.reader.View().Interest(nil); len(in.MACs)+len(in.Sent) > 0 || len(in.Addrs) != 2 {
			t.Errorf("the filter passes %+v of a machine that is awake", in)
		}
		if x.logged("boot=5s ready=6.") != 1 {
			t.Errorf("the log does not say how long it took:\n%s", &x.output)
		}
	})
}

// wantClaimAnnounced fails the test unless the claim of nas was announced four times.
func wantClaimAnnounced(x *fixture, claimed time.Time) {
	x.Helper()
	var at []time.Duration
	for _, s := range x.sent {
		ip, owner, all := s.announces()
		if all && owner != x.n.MAC() {
			x.Errorf("%v announced at %v while it is claimed", ip, owner)
		}
		if all && ip == nas4 && s.Kind == lan.ARPReply {
			at = append(at, s.at.Sub(claimed))
		}
	}
	if diff := cmp.Diff([]time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second}, at); diff != "" {
		x.Errorf("announced after the claim (-want +got):\n%s", diff)
	}
}

// An address that is not seen in use is announced when it is.
func TestAddressInUseLate(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		x.hear(syn(nas4, 22))
		up := x.up(at(nas(), nas4))
		up.open = []uint16{ssh.Number}
		x.pass(time.Second)
		x.want(e, machine.Awake)
		x.announced(nas4)
		if owners := x.announced(nas6); slices.Contains(owners, nasMAC) {
			t.Errorf("%v announced at %v although it is not seen in use", nas6, owners)
		}
		x.hear(lantest.Solicit(nasMAC, nas6, client6))
		if owners := x.announced(nas6); !slices.Equal(owners, []ether.MAC{nasMAC}) {
			t.Errorf("%v announced at %v once it is in use", nas6, owners)
		}
	})
}

// A machine that boots may begin to test its addresses at any moment, and does not
// say so at once: the announcements of the claim end with the magic packet.
func TestWakeEndsTheAnnouncements(t *testing.T) {
	withLoop(t, func(c *config.Config) { c.Wake.Holdoff = 2 * time.Second }, func(x *fixture) {
		x.asleep(nas())
		x.hear(syn(nas4, 22))
		x.pass(1500 * time.Millisecond)
		if owners := x.announced(nas4); len(owners) != 2 {
			t.Errorf("announced at %v while the magic packet is held off, want twice", owners)
		}
		x.pass(10 * time.Second)
		if owners := x.announced(nas4); len(owners) != 0 {
			t.Errorf("announced at %v while the machine boots", owners)
		}
	})
}

// While a machine arrives nothing says where its addresses are: it may be testing
// them. The announcements of the claim stop too.
func TestArrivalIsSilent(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		x.hear(syn(nas4, 22))
		x.hear(lantest.DAD(nasMAC, nas6))
		x.forgetSent()
		for range 8 {
			x.pass(time.Second)
			x.hear(lantest.DAD(nasMAC, nas6)) // it tests on
		}
		x.want(e, machine.Arriving)
		if !x.answersTo(clientMAC, nas4) || !x.answersTo(clientMAC, nas6) {
			t.Error("a client is not kept here")
		}
		for _, s := range x.sent {
			if ip, owner, all := s.announces(); all {
				t.Errorf("announced meanwhile: %v at %v", ip, owner)
			}
		}
	})
}

// The handover waits for every service that clients knocked at, and takes no other
// host's word for it.
func TestHandoverWaitsForEachService(t *testing.T) {
	accept := func(x *fixture, ip netip.Addr) *lan.Packet {
		to := porter4
		if ip.Is6() {
			to = porter6
		}
		p := lantest.Segment(nasMAC, ip, to, lan.ProbePort(0), lantest.SYN|lantest.ACK)
		p.FromPort, p.Ack = 22, x.n.reader.Sequence()+1
		return p
	}
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		x.hear(syn(nas4, 22))
		x.hear(syn(nas6, 22))
		x.hear(echo(nas4))
		x.hear(lantest.ARPReply(nasMAC, x.n.MAC(), nas4, porter4))
		x.want(e, machine.Arriving)
		x.pass(100 * time.Millisecond)
		x.hear(accept(x, nas4))
		for _, wrong := range []func(*lan.Packet){
			func(p *lan.Packet) { p.Src = clientMAC },
			func(p *lan.Packet) { p.Dst = clientMAC },
			func(p *lan.Packet) { p.ToPort = 60999 },
			func(p *lan.Packet) { p.FromPort = 23 },
			func(p *lan.Packet) { p.Ack++ },
			func(p *lan.Packet) { p.Flags = lantest.RST | lantest.ACK },
		} {
			p := accept(x, nas6)
			wrong(p)
			x.hear(p)
		}
		x.hear(lantest.ARPReply(nasMAC, x.n.MAC(), nas4, porter4))
		x.want(e, machine.Arriving)
		x.hear(accept(x, nas6))
		x.want(e, machine.Awake)
	})
}

// The loop was too far behind for the only frame of a machine: it sleeps, its
// reader is silent, and nothing else would ever tell.
func TestLostSightingIsRecovered(t *testing.T) {
	flood := func(x *fixture, spec machine.Spec) {
		other := fastpath.NewTarget(spec, handover.NewHold(1, x.budget), new(wakefilter.Filter))
		for len(x.sightings) < cap(x.sightings) { // a flood of knocks
			x.sightings <- fastpath.Sighting{Kind: fastpath.SawFrame, Target: other}
		}
	}
	t.Run("asleep", func(t *testing.T) {
		withLoop(t, nil, func(x *fixture) {
			e := x.asleep(nas())
			flood(x, nas())
			x.hear(lantest.Segment(nasMAC, nas4, client4, 443, lantest.ACK))
			x.want(e, machine.Settling, nas6)
			x.pass(10 * time.Second)
			x.want(e, machine.Asleep, nas4, nas6)
			if x.logged("event queue full") != 1 {
				t.Errorf("the log:\n%s", &x.output)
			}
		})
	})
	t.Run("settling", func(t *testing.T) {
		withLoop(t, nil, func(x *fixture) {
			e := x.asleep(nas())
			x.hear(lantest.Segment(nasMAC, nas4, client4, 443, lantest.ACK))
			x.want(e, machine.Settling, nas6)
			flood(x, nas())
			x.hear(lantest.Solicit(nasMAC, nas6, client6))
			x.pass(10 * time.Second)
			x.want(e, machine.Asleep, nas4, nas6)
		})
	})
}

// At the end everything is released, announced twice, and within 2 s.
func TestLeave(t *testing.T) {
	withLoop(t, func(c *config.Config) { c.Wake.OnExit = config.OnExitAll }, func(x *fixture) {
		x.configured(machine.Spec{Name: "attic", MAC: strangerMAC})
		sleeping := x.asleep(nas())
		settling := x.register(tv())
		x.forgetSent()
		before := time.Now()
		x.releaseAll()
		if took := time.Since(before); took > 2*time.Second {
			t.Errorf("took %v", took)
		}
		for _, ip := range []netip.Addr{nas4, nas6} {
			if owners := x.announced(ip); !slices.Equal(owners, []ether.MAC{nasMAC, nasMAC}) {
				t.Errorf("%v announced at %v", ip, owners)
			}
		}
		for _, s := range x.sent {
			if ip, owner, all := s.announces(); all {
				t.Errorf("announced too: %v at %v", ip, owner)
			}
		}
		if x.answers(nas4) || x.answers(nas6) || x.answers(tv4) {
			t.Error("still answered for")
		}
		// One that settles may be off already.
		for e, want := range map[*entry]uint64{sleeping: 1, settling: 1, x.machines.named["attic"]: 0} {
			if got := e.Status().Tally.Attempts; got != want {
				t.Errorf("%d magic packets for %s, want %d", got, e.name(), want)
			}
		}
	})
}

func TestLeaveWithoutClaims(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.register(tv())
		before := time.Now()
		x.releaseAll()
		if took := time.Since(before); took != 0 {
			t.Errorf("took %v with nothing to release", took)
		}
	})
}

// A machine that tests its address while the porter ends is not announced again.
func TestLeaveDuringATest(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.asleep(nas())
		x.pass(10 * time.Second)
		x.forgetSent()
		x.n.reader.Handle(lantest.ARPProbe(nasMAC, nas4)) // on its way when the end comes
		time.AfterFunc(500*time.Millisecond, func() { x.n.reader.Handle(lantest.DAD(nasMAC, nas6)) })
		x.releaseAll()
		for ip, want := range map[netip.Addr]int{nas4: 0, nas6: 1} {
			if owners := x.announced(ip); len(owners) != want {
				t.Errorf("%v announced at %v, want %d times", ip, owners, want)
			}
		}
	})
}
