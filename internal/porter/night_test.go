package porter

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/config"
	"nightporter/internal/fastpath"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// One whole night: claim, announce, knock, wake, hand back.
func TestNight(t *testing.T) {
	overnight(t, nil, func(h *night) {
		r := h.register(nas())
		h.want(r, machine.Settling)
		h.pass(2900 * time.Millisecond)
		h.want(r, machine.Settling)
		h.pass(200 * time.Millisecond)
		h.want(r, machine.Asleep, nas4, nas6)
		h.pass(10 * time.Second)
		var at []time.Duration
		for _, a := range h.announced {
			if a.to != h.n.MAC() {
				t.Errorf("%v announced at %v while it is claimed", a.ip, a.to)
			}
			if a.ip == nas4 {
				at = append(at, a.at-h.announced[0].at)
			}
		}
		if diff := cmp.Diff([]time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second}, at); diff != "" {
			t.Errorf("announced after the claim (-want +got):\n%s", diff)
		}
		if !slices.Equal(r.joined, []netip.Addr{nas6}) {
			t.Errorf("in the solicited-node groups of %v", r.joined)
		}
		h.announced = nil

		knock := syn(nas4, 22)
		knock.Time = time.Now().Add(-time.Millisecond)
		h.frame(knock)
		h.want(r, machine.Waking, nas4, nas6)
		if n, sum := observations(t, h.reg, "nightporter_wake_latency_seconds"); n != 1 || sum != 0.001 {
			t.Errorf("%d wake latencies of %v s, want one of 1 ms", n, sum)
		}
		if !strings.Contains(h.log.String(), `knock="10.77.0.10:40000 -> 10.77.0.20:22/tcp"`) {
			t.Errorf("the log does not say who knocked:\n%s", &h.log)
		}
		h.pass(5 * time.Second)
		h.frame(arpProbe(nasMAC, nas4))
		h.want(r, machine.Arriving)
		h.pass(time.Second)
		h.frame(arpReply(nasMAC, h.n.MAC(), nas4, porter4))
		h.want(r, machine.Arriving)
		h.frame(h.accepts(nas4, 22))
		h.want(r, machine.Awake)
		if owners := h.told(nas4); !slices.Equal(owners, []machine.MAC{nasMAC}) {
			t.Errorf("%v announced at %v after the hand-over", nas4, owners)
		}
		if owners := h.told(nas6); owners != nil {
			t.Errorf("%v announced at %v although it is not seen in use", nas6, owners)
		}
		if len(r.joined) != 0 {
			t.Errorf("still in the solicited-node groups of %v", r.joined)
		}
		if !r.watched() {
			t.Error("nobody looks out for the address that is not in use so far")
		}
		h.frame(solicit(nasMAC, nas6, client6))
		if owners := h.told(nas6); !slices.Equal(owners, []machine.MAC{nasMAC}) {
			t.Errorf("%v announced at %v once it is in use", nas6, owners)
		}
		h.pass(machine.AnnouncedFor)
		h.unwatched()
		if want := "boot=5s ready=6s"; !strings.Contains(h.log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, &h.log)
		}
	})
}

// unwatched fails the test if the readers look out for anything.
func (h *night) unwatched() {
	h.Helper()
	for i, n := range h.nics {
		v := n.reader.View()
		for _, spec := range []machine.Spec{nas(), tv()} {
			for _, ip := range spec.Addrs() {
				if v.Address(ip) != nil {
					h.Errorf("interface %d: %v is watched", i, ip)
				}
			}
		}
		if in := v.Interest(nil); len(in.MACs) > 0 || len(in.Addrs) > 0 {
			h.Errorf("interface %d: the filter passes %v and %v", i, in.MACs, in.Addrs)
		}
	}
}

// A machine that registers again is accepted in every state, with what it says
// now. Nothing of the old claim stays.
func TestRegisterAgain(t *testing.T) {
	moved := nas()
	moved.Name = "tower"
	moved.Monitor = []machine.Address{{IP: nas6}, {IP: tv4, Ports: []machine.Port{show}}}
	for state, reach := range map[machine.State]func(*night) *entry{
		machine.Settling: func(h *night) *entry { return h.register(nas()) },
		machine.Asleep:   func(h *night) *entry { return h.asleep(nas()) },
		machine.Waking: func(h *night) *entry {
			r := h.asleep(nas())
			h.frame(syn(nas6, 22))
			return r
		},
		machine.Arriving: func(h *night) *entry {
			r := h.asleep(nas())
			h.frame(syn(nas6, 22))
			h.frame(dad(nasMAC, nas6))
			return r
		},
		machine.Awake: func(h *night) *entry {
			r := h.asleep(nas())
			h.frame(syn(nas6, 22))
			h.frame(advertise(nasMAC, h.n.MAC(), nasMAC, nas6))
			h.frame(h.accepts(nas6, 22))
			return r
		},
	} {
		t.Run(state.String(), func(t *testing.T) {
			overnight(t, nil, func(h *night) {
				r := reach(h)
				if r.State() != state {
					t.Fatalf("%v, want %v", r.State(), state)
				}
				late := fastpath.Sighting{Kind: fastpath.SawUse, Target: r.target, Address: h.n.reader.View().Address(nas4)}
				if again := h.register(moved); again != r {
					t.Fatal("it became another entry")
				}
				h.want(r, machine.Settling)
				h.wantNames(t, "tower")
				if h.answers(nas4) {
					t.Errorf("still answered for at %v, which it has no more", nas4)
				}
				if n := len(r.joined); n != 0 {
					t.Errorf("in %d solicited-node groups", n)
				}
				v := h.n.reader.View()
				if a := v.Address(nas6); a == nil || a.Target() != r.target || v.Address(nas4) != nil || v.Address(tv4) == nil {
					t.Errorf("not watched at what it registered: %v", v.Interest(nil))
				}
				// What was seen of the old addresses says nothing any more.
				h.see(late)
				h.pass(3*time.Second + time.Millisecond)
				if state != machine.Waking { // there somebody waits: it is woken at once
					h.want(r, machine.Asleep, nas6, tv4)
					return
				}
				h.want(r, machine.Waking, nas6, tv4)
			})
		})
	}
}

func TestRenameMovesTheSeries(t *testing.T) {
	overnight(t, nil, func(h *night) {
		h.asleep(nas())
		renamed := nas()
		renamed.Name = "tower"
		h.register(renamed)
		for name, want := range map[string]int{"nas": 0, "tower": 1} {
			if got := series(t, h.reg, "nightporter_machine_boot_duration_seconds", name); got != want {
				t.Errorf("%d series of %q, want %d", got, name, want)
			}
		}
	})
}

// A machine that registers on another network leaves nothing on the old one.
func TestMoveToAnotherInterface(t *testing.T) {
	overnight(t, nil, func(h *night) {
		r := h.asleep(nas())
		h.told(nas4)
		old, other := h.n, h.open()
		h.admit(nas(), other)
		h.publish()
		if r.nic != other || len(r.joined) != 0 {
			t.Errorf("in %d groups after the move", len(r.joined))
		}
		if v := old.reader.View(); v.Address(nas4) != nil || v.Address(nas6) != nil {
			t.Error("still watched on the old interface")
		}
		if owners := h.told(nas4); !slices.Equal(owners, []machine.MAC{nasMAC}) {
			t.Errorf("announced on the old interface at %v", owners)
		}
		if err := old.link.Load().LeaveSolicitedNode(nas6); err == nil {
			t.Error("still in the solicited-node group on the old interface")
		}
		h.n = other
		h.pass(3*time.Second + time.Millisecond)
		h.want(r, machine.Asleep, nas4, nas6)
		h.n = old
		if h.answers(nas4) {
			t.Error("answered for on the old interface")
		}
	})
}

// A machine that boots may begin to test its addresses any moment, and does not
// say so at once: the announcements of the claim end with the magic packet.
func TestAWakeEndsTheAnnouncements(t *testing.T) {
	overnight(t, func(c *config.Config) { c.Wake.Holdoff = 2 * time.Second }, func(h *night) {
		h.asleep(nas())
		h.frame(syn(nas4, 22))
		h.pass(1500 * time.Millisecond)
		if owners := h.told(nas4); len(owners) != 2 {
			t.Errorf("announced at %v while the magic packet is held off, want twice", owners)
		}
		h.pass(10 * time.Second)
		if owners := h.told(nas4); len(owners) != 0 {
			t.Errorf("announced at %v while the machine boots", owners)
		}
	})
}

// While a machine arrives nobody says where its addresses are: it may be testing
// them. The announcements of the claim stop too.
func TestArrivalIsSilent(t *testing.T) {
	overnight(t, nil, func(h *night) {
		r := h.asleep(nas())
		h.frame(syn(nas4, 22))
		h.frame(dad(nasMAC, nas6))
		h.announced = nil
		for range 8 {
			h.pass(time.Second)
			h.frame(dad(nasMAC, nas6)) // it tests on
		}
		h.want(r, machine.Arriving)
		if !h.answersTo(clientMAC, nas4) || h.answersTo(clientMAC, nas6) {
			t.Error("who waits is answered elsewhere than where it waits")
		}
		if len(h.announced) != 0 {
			t.Errorf("announced meanwhile: %v", h.announced)
		}
	})
}

// The hand-over waits for every service that somebody knocked at, and takes no
// stranger's word for it.
func TestHandOverWaitsForEachService(t *testing.T) {
	overnight(t, nil, func(h *night) {
		r := h.asleep(nas())
		h.frame(syn(nas4, 22))
		h.frame(syn(nas6, 22))
		h.frame(echo(nas4))
		h.frame(arpReply(nasMAC, clientMAC, nas4, client4))
		h.want(r, machine.Arriving)
		h.pass(100 * time.Millisecond)
		h.frame(h.accepts(nas4, 22))
		for _, wrong := range []func(*lan.Packet){
			func(p *lan.Packet) { p.Src = clientMAC },
			func(p *lan.Packet) { p.Dst = clientMAC },
			func(p *lan.Packet) { p.ToPort = 60999 },
			func(p *lan.Packet) { p.FromPort = 23 },
			func(p *lan.Packet) { p.Ack++ },
			func(p *lan.Packet) { p.Flags = flagRST | flagACK },
		} {
			p := h.accepts(nas6, 22)
			wrong(p)
			h.frame(p)
		}
		h.frame(arpReply(nasMAC, h.n.MAC(), nas4, porter4))
		h.want(r, machine.Arriving)
		h.frame(h.accepts(nas6, 22))
		h.want(r, machine.Awake)
	})
}

// The latency of a knock is not that of a wake that has nothing to do with it.
func TestLatencyOfAnotherWake(t *testing.T) {
	overnight(t, func(c *config.Config) { c.Wake.Holdoff = 10 * time.Second }, func(h *night) {
		r := h.asleep(nas())
		knock := syn(nas4, 22)
		knock.Time = time.Now()
		h.frame(knock) // held off
		for range 5 {  // and then it is started by hand
			h.frame(arpReply(nasMAC, clientMAC, nas4, client4))
			h.pass(time.Second)
		}
		h.frame(advertise(nasMAC, clientMAC, nasMAC, nas6))
		h.frame(h.accepts(nas4, 22))
		if r.State() != machine.Awake {
			t.Fatalf("it is %v", r.State())
		}
		h.pass(time.Hour)
		h.tell(r, machine.WakeAsked{Trigger: machine.ByAPI, By: "test"})
		if n, sum := observations(t, h.reg, "nightporter_wake_latency_seconds"); n != 0 {
			t.Errorf("%d wake latencies of %v s for a wake through the API", n, sum)
		}
	})
}

// The loop was too far behind for the only frame of a machine: it is asleep,
// and nobody answers for it, for ever.
func TestLostSightingIsNotForgotten(t *testing.T) {
	overnight(t, nil, func(h *night) {
		r := h.asleep(nas())
		for len(h.sightings) < cap(h.sightings) { // a flood of knocks
			h.sightings <- fastpath.Sighting{Kind: fastpath.SawFrame, Target: r.newTarget(nas())}
		}
		h.n.reader.Handle(segment(nasMAC, nas4, client4, 443, flagACK))
		h.drain()
		h.publish()
		h.pass(10 * time.Second)
		h.want(r, machine.Asleep, nas4, nas6)
	})
}
