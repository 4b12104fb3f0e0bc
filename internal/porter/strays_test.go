package porter

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"nightporter/internal/config"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// Who waits at an address that is left to another host is sent there, and
// nothing of ours is said or sent about it any more.
func TestNobodyWaitsAtAConcededAddress(t *testing.T) {
	for _, arriving := range []bool{false, true} {
		overnight(t, nil, func(h *night) {
			r := h.asleep(nas())
			h.pass(10 * time.Second)
			l := h.lobby()
			h.frame(l.real(clientMAC, lan.TCP, 22))
			if arriving {
				h.frame(arpProbe(nasMAC, nas4))
			}
			l.happened()
			h.frame(arpReply(thiefMAC, machine.Broadcast, nas4, nas4))
			l.wantHappened("send client to ") // a stranger
			h.frame(dad(nasMAC, nas6))
			before := h.replies
			h.frame(arpRequest(clientMAC, machine.Broadcast, client4, nas4))
			h.frame(l.real(passerMAC, lan.TCP, 22))
			if h.replies != before {
				t.Errorf("%d answers for the address of another host", h.replies-before)
			}
			h.frame(advertise(nasMAC, h.n.MAC(), nasMAC, nas6))
			h.want(r, machine.Awake)
			h.frame(l.real(clientMAC, lan.TCP, 22))
			l.wantHappened("announce fd77::20 at nas")
		})
	}
}

func TestAKnockAtAConcededAddressWakesNobody(t *testing.T) {
	overnight(t, nil, func(h *night) {
		r := h.asleep(nas())
		h.frame(arpReply(thiefMAC, machine.Broadcast, nas4, nas4))
		h.frame(syn(nas4, 22))
		h.want(r, machine.Asleep, nas6)
	})
}

// A service that is not registered any more is not waited for.
func TestNobodyWaitsForARemovedService(t *testing.T) {
	overnight(t, nil, func(h *night) {
		r := h.asleep(nas())
		l := h.lobby()
		h.frame(l.real(clientMAC, lan.TCP, 22))
		s := nas()
		s.Monitor = []machine.Address{{IP: nas4, Ports: []machine.Port{show}}}
		h.register(s)
		h.pass(5 * time.Second)
		h.frame(arpReply(nasMAC, h.n.MAC(), nas4, porter4))
		h.want(r, machine.Awake)
	})
}

// A machine that arrives does not end the announcements of another, to which it
// has lost an address.
func TestYieldLeavesOthersAnnouncements(t *testing.T) {
	overnight(t, nil, func(h *night) {
		h.asleep(nas())
		h.frame(arpReply(tvMAC, machine.Broadcast, nas4, nas4))
		s := tv()
		s.Monitor = []machine.Address{{IP: nas4, Ports: []machine.Port{show}}}
		h.register(s)
		h.pass(3100 * time.Millisecond)
		h.announced = nil
		h.frame(syn(nas6, 22))
		h.frame(dad(nasMAC, nas6))
		h.pass(8 * time.Second)
		if n := len(h.told(nas4)); n != 3 {
			t.Errorf("announced %d times more, want 3", n)
		}
	})
}

// What came while a machine only said that it would sleep has been repeated, or
// is of no use any more, when it turns out that it did not.
func TestNothingOldIsSentToAMachineThatNeverSlept(t *testing.T) {
	overnight(t, nil, func(h *night) {
		r := h.register(nas())
		l := h.lobby()
		h.frame(l.real(clientMAC, lan.UDP, game.Number))
		for range 601 {
			h.frame(arpRequest(nasMAC, h.n.MAC(), nas4, porter4))
			h.pass(time.Second)
		}
		h.want(r, machine.Awake)
		l.wantHappened()
	})
}

// Nobody is told anything at a group address.
func TestAGroupIsNoGuest(t *testing.T) {
	overnight(t, nil, func(h *night) {
		h.asleep(nas())
		l := h.lobby()
		f, err := lan.SYNProbe(clientMAC, h.n.MAC(), netip.AddrPortFrom(client4, clientPort), netip.AddrPortFrom(nas4, 22), 1)
		copy(f[6:12], machine.Broadcast[:])
		h.frame(parsed(t, f, err))
		h.frame(arpProbe(nasMAC, nas4))
		if got := l.happened(); len(got) > 0 {
			t.Errorf("happened %q", got)
		}
	})
}

// In bind mode the kernel owns addresses exactly while the guard works.
func TestBoundWhileGuarded(t *testing.T) {
	overnight(t, func(c *config.Config) { c.Claim.Mode = config.ModeBind }, func(h *night) {
		g, bound := h.mounted(), map[netip.Addr]bool{}
		h.n.binder.Add = func(ips ...netip.Addr) error {
			for _, ip := range ips {
				bound[ip] = true
			}
			return nil
		}
		h.n.binder.Remove = func(ips ...netip.Addr) error {
			maps.DeleteFunc(bound, func(ip netip.Addr, _ bool) bool { return slices.Contains(ips, ip) })
			return nil
		}
		h.n.binder.List = func() ([]netip.Addr, error) { return slices.Collect(maps.Keys(bound)), nil }
		g.fails = errors.New("busy")
		h.asleep(nas())
		if len(bound) > 0 {
			t.Errorf("bound while the guard does not work from the start: %v", bound)
		}
		for _, works := range []bool{true, false, true} {
			if g.fails = nil; !works {
				g.fails = errors.New("gone")
			}
			h.pass(11 * time.Second)
			if got := len(bound) == 2; got != works {
				t.Errorf("bound %v while the guard works: %v", bound, works)
			}
		}
	})
}

// A machine that is started by hand while somebody knocks: its service is asked
// before the client's packet goes there.
func TestKnockWhileItStartsByHand(t *testing.T) {
	overnight(t, nil, func(h *night) {
		r := h.asleep(nas())
		h.pass(10 * time.Second)
		l := h.lobby()
		h.frame(arpReply(nasMAC, machine.Broadcast, nas4, nas4))
		h.pass(time.Second)
		l.happened()
		h.frame(l.real(clientMAC, lan.TCP, 22))
		h.want(r, machine.Arriving)
		l.wantHappened("send client to us", "ask 22/tcp")
		h.frame(arpReply(nasMAC, machine.Broadcast, nas4, nas4))
		l.wantHappened("send client to us")
		h.frame(h.accepts(nas4, 22))
		h.want(r, machine.Awake)
		l.wantHappened("announce 10.77.0.20 at nas", "send client to nas", "forward tcp from client")
	})
}
