package porter

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/guard"
	"nightporter/internal/machine"
)

// fakeGuard remembers what it was told, and fails when it is to.
type fakeGuard struct {
	held   map[netip.Addr]bool
	did    []string
	fails  error
	closed int
}

func (g *fakeGuard) Hold(addrs ...netip.Addr) error {
	for _, ip := range addrs {
		g.held[ip] = true
	}
	g.did = append(g.did, fmt.Sprint("hold ", addrs))
	return g.fails
}

func (g *fakeGuard) Release(addrs ...netip.Addr) error {
	for _, ip := range addrs {
		delete(g.held, ip)
	}
	g.did = append(g.did, fmt.Sprint("release ", addrs))
	return g.fails
}

func (g *fakeGuard) Check() error {
	g.did = append(g.did, "check")
	return g.fails
}

func (g *fakeGuard) Close() error {
	g.closed++
	return g.fails
}

// mounted gives the night a guard.
func (h *night) mounted() *fakeGuard {
	h.Helper()
	g := &fakeGuard{held: make(map[netip.Addr]bool)}
	h.mount(g)
	return g
}

// mount has t for the porter's guard.
func (h *night) mount(t guard.Table) {
	h.Helper()
	if err := h.guard.Mount(guard.ModeAuto, func() (guard.Table, error) { return t, nil }, h.Porter.log, time.Now()); err != nil {
		h.Fatal(err)
	}
}

// The guard holds an address from before its claim is announced until before
// its release is, the arrival included.
func TestGuardFollowsTheClaim(t *testing.T) {
	overnight(t, nil, func(h *night) {
		g := h.mounted()
		var wrong []string
		announce := h.n.announcer.Send
		h.n.announcer.Send = func(ip netip.Addr, owner machine.MAC) {
			if !g.held[ip] { // clients may send us its packets until all have been told
				wrong = append(wrong, fmt.Sprintf("%v announced at %v, and not held", ip, owner))
			}
			announce(ip, owner)
		}
		r := h.register(nas())
		if len(g.did) != 0 {
			t.Errorf("before the claim: %q", g.did)
		}
		h.pass(4 * time.Second)
		h.want(r, machine.Asleep, nas4, nas6)
		h.frame(syn(nas4, 22))
		h.want(r, machine.Waking, nas4, nas6)
		h.frame(arpProbe(nasMAC, nas4))
		h.want(r, machine.Arriving)
		if !g.held[nas4] || !g.held[nas6] {
			t.Errorf("held in arriving: %v", g.held)
		}
		h.frame(arpReply(nasMAC, h.n.MAC(), nas4, porter4))
		h.frame(h.accepts(nas4, 22))
		h.want(r, machine.Awake)
		if !g.held[nas4] || !g.held[nas6] {
			t.Errorf("held while clients are told: %v", g.held)
		}
		h.frame(solicit(nasMAC, nas6, client6))
		h.pass(machine.AnnouncedFor)
		if len(g.held) != 0 {
			t.Errorf("held when everybody has been told: %v", g.held)
		}
		g.did = slices.DeleteFunc(g.did, func(s string) bool { return s == "check" })
		if want := []string{"hold [10.77.0.20 fd77::20]", "release [10.77.0.20 fd77::20]"}; !slices.Equal(g.did, want) {
			t.Errorf("the guard was told %q, want %q", g.did, want)
		}
		if len(h.told(nas4)) == 0 || len(wrong) > 0 {
			t.Errorf("announced against the guard: %q", wrong)
		}
	})
}

// Whatever else ends a claim ends the guard.
func TestGuardEndsWithTheClaim(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(*night, *entry)
		want []netip.Addr
	}{
		// Who has not heard of it still sends to us, and our host may forward.
		{"speaks in its sleep", func(h *night, _ *entry) { h.frame(segment(nasMAC, nas4, client4, 443, flagACK)) }, []netip.Addr{nas4, nas6}},
		{"is started by hand", func(h *night, r *entry) {
			for range 4 + machine.AnnouncedFor/time.Second {
				h.frame(advertise(nasMAC, clientMAC, nasMAC, nas6))
				h.frame(arpReply(nasMAC, clientMAC, nas4, client4))
				h.pass(time.Second)
			}
			h.want(r, machine.Awake)
		}, nil},
		{"registers again", func(h *night, _ *entry) { h.register(nas()) }, nil},
		{"is forgotten", func(h *night, r *entry) { h.tell(r, machine.Stopped{}); h.forget(r, "test") }, nil},
		{"loses an address", func(h *night, _ *entry) { h.frame(arpReply(thiefMAC, machine.Broadcast, nas4, nas4)) }, []netip.Addr{nas6}},
		{"the porter leaves", func(h *night, _ *entry) { h.leave() }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			overnight(t, nil, func(h *night) {
				g := h.mounted()
				r := h.asleep(nas())
				if len(g.held) != 2 {
					t.Fatalf("held asleep: %v", g.held)
				}
				c.end(h, r)
				var got []netip.Addr
				for ip := range g.held {
					got = append(got, ip)
				}
				slices.SortFunc(got, netip.Addr.Compare)
				if diff := cmp.Diff(c.want, got, comparable); diff != "" {
					t.Errorf("held (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// A guard that fails stops no claim. It is said once, shown, and tried again.
func TestGuardFails(t *testing.T) {
	overnight(t, nil, func(h *night) {
		g := h.mounted()
		if s := h.Guard(); !s.Active || s.Mode != guard.ModeAuto || s.Reason != "" {
			t.Errorf("at first: %+v", s)
		}
		g.fails = errors.New("no more room")
		h.asleep(nas())
		h.asleep(tv())
		h.pass(30 * time.Second)
		if n := strings.Count(h.log.String(), "the guard fails"); n != 1 {
			t.Errorf("said %d times:\n%s", n, &h.log)
		}
		if s := h.Guard(); s.Active || s.Reason != "no more room" {
			t.Errorf("while it fails: %+v", s)
		}
		g.fails = nil
		h.pass(guard.CheckInterval)
		if s := h.Guard(); !s.Active || s.Reason != "" || !strings.Contains(h.log.String(), "the guard works again") {
			t.Errorf("afterwards: %+v\n%s", s, &h.log)
		}
		if n := strings.Count(strings.Join(g.did, "\n"), "check"); n < 3 || n > 4 {
			t.Errorf("looked after %d times", n)
		}
		h.Porter.Close()
		h.Porter.Close()
		if s := h.Guard(); g.closed != 1 || s.Active {
			t.Errorf("closed %d times: %+v", g.closed, s)
		}
	})
}
