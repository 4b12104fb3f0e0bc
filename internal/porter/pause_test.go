package porter

import (
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/machine"
)

// slowGuard is a guard whose kernel is busy for a while, in which something
// happens.
type slowGuard struct {
	*fakeGuard
	meanwhile func()
}

func (g *slowGuard) Hold(addrs ...netip.Addr) error {
	g.meanwhile()
	return g.fakeGuard.Hold(addrs...)
}

// TestFaultSlowGuard: a machine that starts while the kernel is told to guard its
// addresses neither hears that they are ours, nor is answered for.
func TestFaultSlowGuard(t *testing.T) {
	for _, said := range []struct {
		name  string
		frame func(*night)
	}{
		{"it tests an address", func(h *night) { h.n.reader.Handle(arpProbe(nasMAC, nas4)) }},
		{"it uses an address", func(h *night) { h.n.reader.Handle(arpReply(nasMAC, machine.Broadcast, nas4, nas4)) }},
	} {
		t.Run(said.name, func(t *testing.T) {
			overnight(t, nil, func(h *night) {
				g := &slowGuard{fakeGuard: h.mounted()}
				g.meanwhile = func() { said.frame(h); g.meanwhile = func() {} }
				h.mount(g)
				r := h.register(nas())
				h.pass(3500 * time.Millisecond)
				h.want(r, machine.Settling)
				h.unclaimed()
				if h.replies > 0 {
					t.Errorf("%d answers", h.replies)
				}
				h.pass(3 * time.Second)
				h.want(r, machine.Asleep, nas4, nas6) // it was a late frame after all
			})
		})
	}
}

// TestFaultStartedBesideThePorter: who was asleep is answered for soon after a
// start, and announced only when it would have been heard if it were starting too.
func TestFaultStartedBesideThePorter(t *testing.T) {
	resumed := func(h *night) *entry {
		mem := machine.Memory{Spec: nas(), State: machine.Asleep, Since: time.Now().Add(-time.Hour)}
		h.Porter.Resume(h.journal, journal.Past{Until: time.Now(), Machines: []machine.Memory{mem}})
		h.publish()
		h.pass(1500 * time.Millisecond)
		r := h.byMAC[nasMAC]
		h.want(r, machine.Asleep, nas4, nas6)
		h.unclaimed()
		return r
	}
	t.Run("it sleeps on", func(t *testing.T) {
		overnight(t, nil, func(h *night) {
			resumed(h)
			h.pass(3 * time.Second)
			if len(h.announced) != 2 {
				t.Errorf("announced %v, want both addresses once", h.announced)
			}
		})
	})
	t.Run("it has started", func(t *testing.T) {
		overnight(t, nil, func(h *night) {
			r := resumed(h)
			h.frame(arpReply(nasMAC, machine.Broadcast, nas4, nas4))
			h.want(r, machine.Settling)
			h.pass(2 * time.Second)
			h.unclaimed()
		})
	})
}

// unclaimed fails if anybody has been told that an address is ours.
func (h *night) unclaimed() {
	h.Helper()
	for _, a := range h.announced {
		if a.to == h.n.MAC() {
			h.Errorf("announced %v at us", a.ip)
		}
	}
}
