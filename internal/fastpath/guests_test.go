package fastpath

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
)

var (
	guestMAC = ether.MAC{0x52, 0x54, 0, 0, 0, 40}
	guest4   = netip.MustParseAddr("10.77.0.40")
	guest6   = netip.MustParseAddr("fd77::40")
)

// host is nas with a guest.
func host() machine.Spec {
	s := nas()
	for _, ip := range []netip.Addr{guest4, guest6} {
		s.Monitor = append(s.Monitor, machine.Address{IP: ip, MAC: guestMAC, Ports: []machine.Port{ssh}})
	}
	return s
}

// What a guest sends for its address is the owner's: no test of it is answered, and the
// reader is silent about that address at once, and about no other.
func TestFrameOfAGuest(t *testing.T) {
	accept := lantest.Segment(guestMAC, guest4, porter4, lan.ProbePort(1), lantest.SYN|lantest.ACK)
	accept.FromPort = ssh.Number
	for _, c := range []struct {
		name string
		p    *lan.Packet
		mute netip.Addr
		want string
	}{
		{"it tests its address", lantest.ARPProbe(guestMAC, guest4), guest4, "nas test 10.77.0.40"},
		{"it tests its IPv6 address", lantest.DAD(guestMAC, guest6), guest6, "nas test fd77::40"},
		{"it announces its address", lantest.ARPRequest(guestMAC, ether.Broadcast, guest4, guest4), guest4, "nas use 10.77.0.40"},
		{"it answers our question", lantest.ARPReply(guestMAC, lantest.PorterMAC, guest4, porter4), guest4, "nas answer 10.77.0.40"},
		{"it sends a packet", lantest.Segment(guestMAC, guest6, client6, 443, lantest.ACK), guest6, "nas packet fd77::40"},
		{"it takes a connection", accept, guest4, "nas accept 10.77.0.40:22/tcp"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t, 8, host())
			accept.Ack = h.Sequence() + 1
			h.Handle(c.p)
			sent := len(h.sent)
			if c.p != accept && sent > 0 {
				t.Fatal("the guest was answered")
			}
			if diff := cmp.Diff([]string{c.want}, h.seen()); diff != "" {
				t.Errorf("sightings (-want +got):\n%s", diff)
			}
			for _, ip := range []netip.Addr{nas4, nas6, guest4, guest6} {
				if h.answers(ip) == (ip == c.mute) {
					t.Errorf("%v: answered for is %t", ip, ip != c.mute)
				}
			}
		})
	}
}

// The machine does not speak for its guest, nor the guest for the machine: each of them is
// another host at the other's address. And what a guest says of other addresses tells only
// that it is up.
func TestGuestAndHostAreTwo(t *testing.T) {
	for _, c := range []struct {
		name string
		p    *lan.Packet
		want []string
	}{
		{"the host uses the guest's address", lantest.ARPRequest(nasMAC, ether.Broadcast, guest4, guest4),
			[]string{"nas frame", "nas conflict 10.77.0.40 by " + nasMAC.String()}},
		{"the guest uses the host's address", lantest.ARPRequest(guestMAC, ether.Broadcast, nas4, nas4),
			[]string{"nas frame", "nas conflict 10.77.0.20 by " + guestMAC.String()}},
		{"the host answers for the guest", lantest.ARPReply(nasMAC, lantest.PorterMAC, guest4, porter4),
			[]string{"nas frame", "nas conflict 10.77.0.40 by " + nasMAC.String()}},
		{"the guest uses an address that is not known", lantest.ARPRequest(guestMAC, ether.Broadcast, free4, free4), []string{"nas frame"}},
		{"the guest answers for one", lantest.ARPReply(guestMAC, lantest.PorterMAC, free4, porter4), []string{"nas frame"}},
		{"the host uses one", lantest.ARPRequest(nasMAC, ether.Broadcast, free4, free4), []string{"nas frame from 10.77.0.99"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t, 8, host())
			h.Handle(c.p)
			if diff := cmp.Diff(c.want, h.seen()); diff != "" {
				t.Errorf("sightings (-want +got):\n%s", diff)
			}
			if !h.answers(nas4) || !h.answers(guest4) {
				t.Error("an address is not answered for any more")
			}
		})
	}
	// A test is answered, or the one that tests takes an address that is in use.
	h := newFixture(t, 8, host())
	for _, p := range []*lan.Packet{lantest.ARPProbe(nasMAC, guest4), lantest.ARPProbe(guestMAC, nas4)} {
		n := len(h.sent)
		if h.Handle(p); len(h.sent) == n {
			t.Errorf("the test of %v by %v is not answered", p.To, p.Src)
		}
	}
}

// A guest that tests its address does not contest it, although that is not defended.
func TestGuestTestIsNoContest(t *testing.T) {
	h := newFixture(t, 8, host())
	h.View().Address(guest4).Target().SetUndefended(true)
	h.Handle(lantest.ARPProbe(guestMAC, guest4))
	h.Handle(lantest.DAD(nasMAC, guest6))
	want := []string{"nas test 10.77.0.40", "nas frame", "nas contest fd77::40 by " + nasMAC.String()}
	if diff := cmp.Diff(want, h.seen()); diff != "" {
		t.Errorf("sightings (-want +got):\n%s", diff)
	}
}

// The network card of the machine does not answer for a guest.
func TestGuestIsNotTheCard(t *testing.T) {
	h := newFixture(t, 8, host())
	target := h.View().Address(guest4).Target()
	target.SetCardAnswers(true)
	h.Handle(lantest.ARPReply(guestMAC, lantest.PorterMAC, guest4, porter4))
	h.Handle(lantest.ARPReply(nasMAC, lantest.PorterMAC, nas4, porter4))
	if spoken := target.Silenced(target.Addrs()); !slices.Equal(spoken, []netip.Addr{guest4}) {
		t.Errorf("spoken for are %v", spoken)
	}
	if h.answers(guest4) || !h.answers(nas4) {
		t.Error("the guest's answer is taken for the card's, or the card's for the machine's")
	}
}

// What comes for a guest is sent on to the guest, and what a guest sends for itself is not.
func TestPacketsForAGuest(t *testing.T) {
	for _, passing := range []bool{true, false} {
		h := newFixture(t, 16, host())
		target := h.View().Address(guest4).Target()
		if target.hold.HoldUnready(); !passing {
			target.hold.Open(nil)
		}
		var to []ether.MAC
		h.forward = func(_ *lan.Packet, mac ether.MAC) error { to = append(to, mac); return nil }
		own := syn(guest4, 443)
		own.Src = guestMAC
		for _, p := range []*lan.Packet{syn(guest4, 443), syn(nas4, 443), syn(guest6, 443), own} {
			h.Handle(p)
		}
		if want := []ether.MAC{guestMAC, nasMAC, guestMAC}; !slices.Equal(to, want) {
			t.Errorf("passing %t: sent on to %v, want %v", passing, to, want)
		}
	}
}

// A question for a guest that came to us alone is passed on to the guest.
func TestRequestIsForwardedToTheGuest(t *testing.T) {
	h := newFixture(t, 8, host())
	target := h.View().Address(guest4).Target()
	target.Silence(target.Addrs())
	target.SetGuarded(target.Addrs(), false)
	target.hold.Open(nil)
	frame, err := lan.NeighborProbe(clientMAC, lantest.PorterMAC, client4, guest4)
	h.Handle(parsed(t, frame, err))
	if len(h.sent) != 1 || ether.MAC(h.sent[0][:6]) != guestMAC {
		t.Errorf("sent %x", h.sent)
	}
}

// The readers know the guests of those addresses at which a machine is asked. A machine
// of its own is no guest, in any order.
func TestGuestsOfAView(t *testing.T) {
	none := func(netip.Addr) bool { return false }
	all := func(netip.Addr) bool { return true }
	hypervisor, itself := NewTarget(host(), nil, nil), NewTarget(machine.Spec{MAC: guestMAC}, nil, nil)
	for _, first := range []bool{true, false} {
		v := NewView(Rules{})
		if first {
			v.Add(itself, true, none)
		}
		v.Add(hypervisor, true, none)
		v.AddGuests(hypervisor, true, all)
		if !first {
			v.Add(itself, true, none)
		}
		if v.Target(guestMAC) != itself || v.Target(nasMAC) != hypervisor {
			t.Errorf("itself first %t: a machine is taken for a guest", first)
		}
	}
	v := NewView(Rules{})
	v.Add(hypervisor, true, none)
	if v.AddGuests(hypervisor, true, none); v.Target(guestMAC) != nil {
		t.Error("a guest of an address that waits is known")
	}
	v.AddGuests(hypervisor, true, all)
	if v.Target(guestMAC) != hypervisor {
		t.Error("a guest is not known")
	}
	want := []ether.MAC{nasMAC, guestMAC}
	if diff := cmp.Diff(want, v.Interest(nil).MACs, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("let through (-want +got):\n%s", diff)
	}
}
