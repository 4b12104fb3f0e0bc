package fastpath

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
)

// bonded is nas with a card whose own address is another.
func bonded() machine.Spec {
	s := nas()
	s.WakeMAC = cardMAC
	return s
}

var cardMAC = ether.MAC{0xd8, 0xcb, 0x8a, 0x39, 0xbe, 0xa2}

// Boot firmware speaks with the address that was built into the card. That is the
// machine, where it speaks for an address of the machine, and not a host that takes
// it away.
func TestCardSpeaksForItsMachine(t *testing.T) {
	for _, c := range []struct {
		name string
		p    *lan.Packet
		mute netip.Addr
		want []string
	}{
		{"it tests an address", lantest.ARPProbe(cardMAC, nas4), nas4, []string{"nas test " + nas4.String()}},
		{"it tests an IPv6 address", lantest.DAD(cardMAC, nas6), nas6, []string{"nas test " + nas6.String()}},
		{"it announces an address", lantest.ARPRequest(cardMAC, ether.Broadcast, nas4, nas4), nas4, []string{"nas use " + nas4.String()}},
		{"it advertises an address", lantest.Advertise(cardMAC, lantest.PorterMAC, cardMAC, nas6), nas6, []string{"nas use " + nas6.String()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t, 8, bonded(), tv())
			for _, a := range h.View().targets[nasMAC].addrs {
				a.target.SetUndefended(true) // nor is its test one of another host
			}
			h.Handle(c.p)
			if diff := cmp.Diff(c.want, h.seen()); diff != "" {
				t.Errorf("sightings (-want +got):\n%s", diff)
			}
			n := len(h.sent)
			h.Handle(c.p)
			if len(h.sent) > n || h.View().addrs[c.mute].Answering() {
				t.Error("it is answered")
			}
		})
	}
}

// A card may be that of a host which is up, such as a hypervisor: what that says of
// itself means nothing for the machine, and costs no more than a look.
func TestCardOfAHostThatIsUp(t *testing.T) {
	h := newFixture(t, 8, bonded(), tv())
	for _, p := range []*lan.Packet{
		lantest.ARPRequest(cardMAC, ether.Broadcast, client4, client4), lantest.ARPReply(cardMAC, lantest.PorterMAC, client4, porter4),
		lantest.ARPProbe(cardMAC, client4), lantest.DAD(cardMAC, client6), lantest.IP(lan.EchoReply, cardMAC, client4, porter4),
	} {
		h.Handle(p)
	}
	if got := h.seen(); len(got) > 0 {
		t.Errorf("sightings: %q", got)
	}
	n := len(h.sent)
	h.Handle(lantest.ARPRequest(cardMAC, ether.Broadcast, client4, nas4)) // it may be a client, too
	if len(h.sent) == n {
		t.Error("it is not answered")
	}
}

// A machine goes before the card of another, in whatever order they come.
func TestCardIsNoMachine(t *testing.T) {
	other := tv()
	other.MAC = cardMAC
	for _, specs := range [][]machine.Spec{{bonded(), other}, {other, bonded()}} {
		h := newFixture(t, 8, specs...)
		h.Handle(lantest.ARPRequest(cardMAC, ether.Broadcast, tv4, tv4))
		if diff := cmp.Diff([]string{"tv use " + tv4.String()}, h.seen()); diff != "" {
			t.Errorf("sightings (-want +got):\n%s", diff)
		}
	}
}
