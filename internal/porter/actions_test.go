package porter

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/config"
	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
)

// An event that an action leads to is handled after that of the action, and those
// after one another.
func TestEventsInOrder(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.register(nas())
		keep, states := x.n.transmit, []machine.State(nil)
		x.n.transmit = func(frame []byte) error {
			if e.State() == machine.Asleep && states == nil { // its claim is being announced
				x.dispatch(e, machine.WakeRequested{Trigger: machine.ByAPI, By: "test"})
				x.dispatch(e, machine.Registered{Spec: nas()})
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

// Late frames, external starts and firmware, as the reader and the loop take them
// together. A frame alone proves nothing.
func TestSpeaksInItsSleep(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		for range 2 {
			x.hear(lantest.Segment(nasMAC, nas4, client4, 443, lantest.ACK)) // a late frame
			x.want(e, machine.Settling, nas6)
			x.pass(4 * time.Second)
			x.want(e, machine.Asleep, nas4, nas6)
		}
		x.hear(&lan.Packet{Kind: lan.UDP, Src: nasMAC, Dst: ether.Broadcast, From: netip.IPv4Unspecified()}) // firmware
		x.want(e, machine.Settling, nas4, nas6)
		x.pass(4 * time.Second)
		x.want(e, machine.Asleep, nas4, nas6)

		x.hear(syn(nas4, 22))
		x.hear(&lan.Packet{Kind: lan.UDP, Src: nasMAC, Dst: ether.Broadcast, From: netip.IPv4Unspecified()})
		x.want(e, machine.Waking, nas4, nas6)
		x.hear(lantest.ARPProbe(nasMAC, nas4))
		x.want(e, machine.Arriving)
		x.forgetSent()
		x.pass(4 * time.Second) // silent again
		x.want(e, machine.Waking, nas4, nas6)
		for _, ip := range []netip.Addr{nas4, nas6} {
			if owners := x.announced(ip); owners != nil {
				t.Errorf("%v announced at %v to a machine that may test it", ip, owners)
			}
		}
		if !slices.Equal(e.groups, []netip.Addr{nas6}) {
			t.Errorf("in the groups of %v, want one membership", e.groups)
		}
		x.up(nas()).open = []uint16{22}
		x.pass(200 * time.Millisecond)
		x.want(e, machine.Awake)
		if len(e.groups) != 0 {
			t.Errorf("still in the groups of %v", e.groups)
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
		if last := x.events.last().Event; last.Kind != journal.ExternalStart {
			t.Errorf("the last event is %s", last.Kind)
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
		x.dispatch(e, machine.WakeRequested{Trigger: machine.ByAPI, By: "test"})
		if n, sum := x.latencies(); n != 0 {
			t.Errorf("%d wake latencies of %v s for a wake through the API", n, sum)
		}
	})
}
