package porter

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter/internal/config"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

func TestForgetReleases(t *testing.T) {
	overnight(t, nil, func(h *night) {
		r := h.asleep(nas())
		h.told(nas4)
		h.tell(r, machine.Stopped{})
		h.forget(r, "test")
		h.publish()
		h.wantNames(t)
		h.unwatched()
		if h.answers(nas4) || h.answers(nas6) {
			t.Error("answered for after it was forgotten")
		}
		if owners := h.told(nas4); !slices.Equal(owners, []machine.MAC{nasMAC}) {
			t.Errorf("announced at %v", owners)
		}
		// The name and the addresses are free.
		taken := tv()
		taken.Name, taken.Monitor = "nas", nas().Monitor
		h.asleep(taken)
	})
}

// Without wake.keep a machine whose wake fails is dropped, or falls back to
// what the configuration says of it.
func TestFailedWake(t *testing.T) {
	short := func(keep bool) func(*config.Config) {
		return func(c *config.Config) { c.Wake.Attempts, c.Wake.Interval, c.Wake.Keep = 2, time.Second, keep }
	}
	t.Run("kept", func(t *testing.T) {
		overnight(t, short(true), func(h *night) {
			r := h.asleep(nas())
			h.frame(syn(nas4, 22))
			h.pass(3 * time.Second)
			h.want(r, machine.Asleep, nas4, nas6)
			if s := r.Status(); s.Tally.Attempts != 2 || s.Tally.Failures[machine.ByTCP] != 1 {
				t.Errorf("%d attempts, %v failures", s.Tally.Attempts, s.Tally.Failures)
			}
		})
	})
	t.Run("not kept", func(t *testing.T) {
		overnight(t, short(false), func(h *night) {
			h.asleep(nas())
			h.frame(syn(nas4, 22))
			h.pass(3 * time.Second)
			h.wantNames(t)
			h.unwatched()
		})
	})
	t.Run("not kept but configured", func(t *testing.T) {
		overnight(t, short(false), func(h *night) {
			conf := nas()
			conf.Name = "tower"
			h.know(t, conf)
			h.asleep(nas())
			h.frame(syn(nas4, 22))
			h.pass(3 * time.Second)
			h.wantNames(t, "tower")
			h.unwatched()
		})
	})
}

// An address that another host uses is left to it, at once and for good.
func TestConflictReleases(t *testing.T) {
	overnight(t, nil, func(h *night) {
		r := h.asleep(nas())
		h.frame(arpReply(thiefMAC, machine.Broadcast, nas4, nas4))
		h.told(nas4)
		h.want(r, machine.Asleep, nas6)
		h.pass(10 * time.Second)
		if owners := h.told(nas4); owners != nil {
			t.Errorf("announced at %v against the host that uses it", owners)
		}
		for range 3 {
			h.frame(arpReply(thiefMAC, machine.Broadcast, nas4, nas4))
		}
		if n := strings.Count(h.log.String(), "address conflict"); n != 1 || r.Status().Tally.Conflicts != 1 {
			t.Errorf("%d conflicts, %d log lines about them, want 1", r.Status().Tally.Conflicts, n)
		}
		h.frame(syn(nas6, 22))
		h.want(r, machine.Waking, nas6)
	})
}

// That a machine cannot be asked says nothing about it: it is not claimed.
func TestNoProbeIsNoSilence(t *testing.T) {
	overnight(t, func(c *config.Config) { c.Probe.Timeout = 30 * time.Second }, func(h *night) {
		h.n.network.Store(&lan.Network{}) // the interface has lost its addresses
		r := h.register(nas())
		h.pass(20 * time.Second)
		h.want(r, machine.Settling)
		for _, ip := range []netip.Addr{nas4, nas6} {
			if want := fmt.Sprintf("has no address to ask for %v from", ip); strings.Count(h.log.String(), want) != 1 {
				t.Errorf("the log does not say %q once:\n%s", want, &h.log)
			}
		}
		h.pass(11 * time.Second)
		h.want(r, machine.Awake)
	})
}

// Late frames, hand starts and firmware, as the reader and the loop take them
// together.
func TestSpeaksInItsSleep(t *testing.T) {
	overnight(t, nil, func(h *night) {
		r := h.asleep(nas())
		for range 2 {
			h.frame(segment(nasMAC, nas4, client4, 443, flagACK)) // a late frame
			h.want(r, machine.Settling)
			h.pass(4 * time.Second)
			h.want(r, machine.Asleep, nas4, nas6)
		}

		h.frame(syn(nas4, 22))
		h.frame(&lan.Packet{Kind: lan.Other, Src: nasMAC}) // firmware
		h.want(r, machine.Waking, nas4, nas6)
		h.frame(arpProbe(nasMAC, nas4))
		h.want(r, machine.Arriving)
		h.pass(4 * time.Second) // silent again
		h.want(r, machine.Waking, nas4, nas6)
		if !slices.Equal(r.joined, []netip.Addr{nas6, nas6}) {
			t.Errorf("in the groups of %v, want one membership for each claim", r.joined)
		}
		h.frame(arpReply(nasMAC, h.n.MAC(), nas4, porter4))
		h.frame(h.accepts(nas4, 22))
		h.want(r, machine.Awake)
		if len(r.joined) != 0 {
			t.Errorf("still in the groups of %v", r.joined)
		}
	})
}

// At the end everything is released, said twice, and within 2 s.
func TestLeave(t *testing.T) {
	overnight(t, func(c *config.Config) { c.Wake.OnExit = config.OnExitAll }, func(h *night) {
		sleeping := h.asleep(nas())
		settling := h.register(tv())
		h.know(t, machine.Spec{Name: "attic", MAC: thiefMAC})
		h.announced = nil
		before := time.Now()
		h.leave()
		if took := time.Since(before); took > 2*time.Second {
			t.Errorf("took %v", took)
		}
		if h.answers(nas4) || h.answers(nas6) || h.answers(tv4) {
			t.Error("still answered for")
		}
		for _, ip := range []netip.Addr{nas4, nas6} {
			if owners := h.told(ip); !slices.Equal(owners, []machine.MAC{nasMAC, nasMAC}) {
				t.Errorf("%v announced at %v", ip, owners)
			}
		}
		if len(h.announced) != 0 {
			t.Errorf("announced too: %v", h.announced)
		}
		// One that settles may be off already.
		for r, want := range map[*entry]uint64{sleeping: 1, settling: 1, h.machines["attic"]: 0} {
			if got := r.Status().Tally.Attempts; got != want {
				t.Errorf("%d magic packets for %s, want %d", got, r.name(), want)
			}
		}
	})
}

func TestLeaveAnEmptyHouse(t *testing.T) {
	overnight(t, nil, func(h *night) {
		h.register(tv())
		before := time.Now()
		h.leave()
		if took := time.Since(before); took != 0 {
			t.Errorf("took %v with nothing to release", took)
		}
	})
}
