package fastpath

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
)

// A machine that did not wake does not defend its addresses: another host that
// tests one gets no answer, and the loop hears of it. Questions of clients are
// answered as before.
func TestUndefendedAddressIsLeftToItsTester(t *testing.T) {
	behind := func(p *lan.Packet) *lan.Packet { p.Src = otherMAC; return p }
	for _, c := range []struct {
		name    string
		p       *lan.Packet
		want    []string
		answers int
	}{
		{"another host tests it", lantest.ARPProbe(intruderMAC, nas4), []string{"nas contest 10.77.0.20 by " + intruderMAC.String()}, 0},
		{"another host tests the IPv6 address", lantest.DAD(intruderMAC, nas6), []string{"nas contest fd77::20 by " + intruderMAC.String()}, 0},
		{"another host tests it behind a repeater", behind(lantest.ARPProbe(intruderMAC, nas4)), []string{"nas contest 10.77.0.20 by " + intruderMAC.String()}, 0},
		{"the machine tests it", lantest.ARPProbe(nasMAC, nas4), []string{"nas test 10.77.0.20"}, 0},
		{"the machine tests it behind a repeater", behind(lantest.ARPProbe(nasMAC, nas4)), nil, 0},
		{"our own frame comes back", lantest.ARPProbe(lantest.PorterMAC, nas4), nil, 0},
		{"a client asks", lantest.ARPRequest(clientMAC, ether.Broadcast, client4, nas4), nil, 1},
		{"a client solicits", lantest.Solicit(clientMAC, client6, nas6), nil, 1},
		{"another host tests that of a machine that wakes", lantest.ARPProbe(intruderMAC, tv4), nil, 1},
		{"another host tests a free address", lantest.ARPProbe(intruderMAC, free4), nil, 0},
		{"another host announces it", lantest.ARPRequest(intruderMAC, ether.Broadcast, nas4, nas4), []string{"nas conflict 10.77.0.20 by " + intruderMAC.String()}, 0},
		{"a client without an address knocks", lantest.IP(lan.TCP, clientMAC, free4, nas4), nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t, 8, nas(), tv())
			h.View().targets[nasMAC].SetUndefended(true)
			h.Handle(c.p)
			if diff := cmp.Diff(c.want, h.seen()); diff != "" {
				t.Errorf("sightings (-want +got):\n%s", diff)
			}
			if len(h.sent) != c.answers {
				t.Errorf("%d answers, want %d", len(h.sent), c.answers)
			}
		})
	}
}

// However often it is tested, one sighting of each address waits for the loop. It
// costs no allocation.
func TestFloodOfContests(t *testing.T) {
	h := newFixture(t, 8, nas())
	target := h.View().targets[nasMAC]
	target.SetUndefended(true)
	p4, p6 := lantest.ARPProbe(intruderMAC, nas4), lantest.DAD(intruderMAC, nas6)
	if n := testing.AllocsPerRun(100, func() { h.Handle(p4); h.Handle(p6) }); n > 0 {
		t.Errorf("%v allocations for two frames", n)
	}
	want := []string{"nas contest 10.77.0.20 by " + intruderMAC.String(), "nas contest fd77::20 by " + intruderMAC.String()}
	if diff := cmp.Diff(want, h.seen()); diff != "" {
		t.Errorf("sightings (-want +got):\n%s", diff)
	}
	target.SetUndefended(false)
	h.Handle(p4)
	if got := h.seen(); got != nil || len(h.sent) != 1 {
		t.Errorf("reported %q and sent %d answers once it is defended", got, len(h.sent))
	}
}
