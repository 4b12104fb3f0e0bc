package porter

import (
	"testing"
	"time"

	"nightporter/internal/config"
	"nightporter/internal/machine"
)

// A knock at an address that the machine has no more cannot hold up the
// hand-over until hold.ready_timeout.
func TestHandOverOfAnAddressThatIsGone(t *testing.T) {
	overnight(t, nil, func(h *night) {
		h.asleep(nas())
		h.frame(syn(nas6, 22))
		fewer := nas()
		fewer.Monitor = fewer.Monitor[:1] // nas4 only
		r := h.register(fewer)
		h.pass(3*time.Second + time.Millisecond)
		h.want(r, machine.Waking, nas4)
		h.frame(arpReply(nasMAC, h.n.MAC(), nas4, porter4))
		if r.State() != machine.Awake {
			t.Errorf("it is %v, want awake", r.State())
		}
	})
}

// Once stopped, the porter is never ready.
func TestNeverReadyAfterTheEnd(t *testing.T) {
	p, _ := vacant(t, nil)
	turn(t, p)()
	for range 100 {
		if p.Ready() == nil {
			t.Fatal("ready after the loop has ended")
		}
	}
}

// What is due of a machine goes with it.
func TestNothingIsDueForAMachineThatIsForgotten(t *testing.T) {
	overnight(t, func(c *config.Config) { c.Wake.Attempts, c.Wake.Interval, c.Wake.Keep = 2, time.Second, false }, func(h *night) {
		h.asleep(nas())
		h.frame(syn(nas4, 22))
		h.pass(2100 * time.Millisecond)
		h.wantNames(t)
		if next := h.timers.Next(); !next.IsZero() {
			t.Errorf("something is due in %v", time.Until(next))
		}
	})
}

// An address that was left to another host, and that this host then registers,
// is the new owner's in every view.
func TestConcededAddressBelongsToItsNewOwner(t *testing.T) {
	overnight(t, nil, func(h *night) {
		a := h.asleep(nas())
		h.frame(arpReply(tvMAC, machine.Broadcast, nas4, nas4))
		if !a.Conceded(nas4) {
			t.Fatal("no conflict")
		}
		spec := tv()
		spec.Monitor = []machine.Address{{IP: nas4, Ports: []machine.Port{show}}}
		for range 20 { // a view is made from a map
			b := h.register(spec)
			if got := h.n.reader.View().Address(nas4); got.Target() != b.target {
				t.Fatalf("%v is still at the machine that conceded it", nas4)
			}
		}
	})
}

// A knock at an address that turns out to be another's does not hold up the
// hand-over of a machine that is up at the rest of its addresses.
func TestConflictWhileWaking(t *testing.T) {
	overnight(t, nil, func(h *night) {
		r := h.asleep(nas())
		h.frame(syn(nas4, 22))
		h.want(r, machine.Waking, nas4, nas6)
		h.frame(arpReply(thiefMAC, machine.Broadcast, nas4, nas4))
		h.pass(5 * time.Second)
		h.frame(dad(nasMAC, nas6))
		h.want(r, machine.Arriving)
		h.frame(advertise(nasMAC, h.n.MAC(), nasMAC, nas6))
		if r.State() != machine.Awake {
			t.Errorf("%v although it answers for the only address it has left", r.State())
		}
	})
}
