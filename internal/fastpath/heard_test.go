package fastpath

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
)

// A machine may be up, and use the address that it speaks for. Not one more answer
// may go out for it, even while the loop is busy elsewhere: a machine that tests an
// address would take the answer for a duplicate (RFC 4862 section 5.4.4). Its other
// addresses are answered for: boot firmware speaks for one of them, and is gone.
func TestSpeakingSilencesItsAddressAtOnce(t *testing.T) {
	for _, c := range []struct {
		name  string
		p     *lan.Packet
		mute  netip.Addr
		other netip.Addr
	}{
		{"it tests its address", lantest.ARPProbe(nasMAC, nas4), nas4, nas6},
		{"it tests its IPv6 address", lantest.DAD(nasMAC, nas6), nas6, nas4},
		{"it announces its address", lantest.ARPRequest(nasMAC, ether.Broadcast, nas4, nas4), nas4, nas6},
		{"it answers our probe", lantest.ARPReply(nasMAC, lantest.PorterMAC, nas4, porter4), nas4, nas6},
		{"it advertises its address", lantest.Advertise(nasMAC, lantest.PorterMAC, nasMAC, nas6), nas6, nas4},
		{"it sends a packet", lantest.Segment(nasMAC, nas6, client6, 443, lantest.ACK), nas6, nas4},
		{"it pings", lantest.IP(lan.EchoRequest, nasMAC, nas4, client4), nas4, nas6},
		{"it answers the ping of a client", lantest.IP(lan.EchoReply, nasMAC, nas4, client4), nas4, nas6},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t, 8, nas(), tv())
			if !h.answers(nas4) || !h.answers(nas6) {
				t.Fatal("the machine is not answered for before it speaks")
			}
			h.Handle(c.p)
			h.mute(t, c.mute)
			if !h.answers(c.other) || !h.answers(tv4) {
				t.Error("another address is not answered for any more")
			}
		})
	}
}

// mute fails the test if a question for ip is answered.
func (h *fixture) mute(t *testing.T, ip netip.Addr) {
	t.Helper()
	n := len(h.sent)
	questions := []*lan.Packet{
		lantest.ARPRequest(clientMAC, ether.Broadcast, client4, ip), lantest.ARPRequest(clientMAC, lantest.PorterMAC, client4, ip),
		lantest.ARPProbe(intruderMAC, ip), lantest.ARPProbe(nasMAC, ip),
	}
	if ip.Is6() {
		questions = []*lan.Packet{lantest.Solicit(clientMAC, client6, ip), lantest.DAD(intruderMAC, ip), lantest.DAD(nasMAC, ip)}
	}
	for _, p := range questions {
		h.Handle(p)
	}
	if got := len(h.sent) - n; got != 0 {
		t.Errorf("%d answers for %v, for which the machine speaks", got, ip)
	}
}

// ... and even when the loop is so far behind that the sighting is lost.
func TestLostSightingSilencesToo(t *testing.T) {
	h := newFixture(t, 1, nas(), tv())
	h.Handle(syn(tv4, 80)) // fills the queue
	h.Handle(lantest.DAD(nasMAC, nas6))
	if h.Lost() != 1 {
		t.Fatalf("%d sightings lost, want 1", h.Lost())
	}
	h.mute(t, nas6)
}

// The machine itself is never answered, whether or not it has been heard.
func TestMachineIsNeverAnswered(t *testing.T) {
	h := newFixture(t, 8, nas())
	for _, p := range []*lan.Packet{
		lantest.ARPProbe(nasMAC, nas4), lantest.DAD(nasMAC, nas6),
		lantest.ARPRequest(nasMAC, ether.Broadcast, free4, nas4), lantest.Solicit(nasMAC, free6, nas6),
	} {
		h.Handle(p)
	}
	if len(h.sent) != 0 {
		t.Errorf("%d answers to the machine about itself", len(h.sent))
	}
}

// A frame that speaks for none of its addresses proves nothing: boot firmware
// asks for DHCP with the same MAC. The claim stands.
func TestFirmwareDoesNotSilence(t *testing.T) {
	h := newFixture(t, 8, nas())
	h.Handle(&lan.Packet{Kind: lan.IP, Src: nasMAC})
	h.Handle(lantest.ARPRequest(nasMAC, ether.Broadcast, free4, client4))
	h.Handle(lantest.ARPReply(nasMAC, lantest.PorterMAC, free4, porter4))
	if !h.answers(nas4) || !h.answers(nas6) {
		t.Error("the machine is not answered for any more")
	}
}

// A machine that claims to be another speaks for none of its own addresses, and
// not for those of the other.
func TestMachineSpeaksForItselfOnly(t *testing.T) {
	for _, c := range []struct {
		p    *lan.Packet
		want string
	}{
		{lantest.ARPReply(nasMAC, clientMAC, tv4, client4), "nas frame from 10.77.0.30"},
		{lantest.ARPReply(nasMAC, lantest.PorterMAC, tv4, porter4), "nas answer from 10.77.0.30"},
		{lantest.ARPProbe(nasMAC, tv4), "nas frame"},
		{lantest.Segment(nasMAC, tv4, client4, 443, lantest.ACK), "nas frame"},
	} {
		h := newFixture(t, 8, nas(), tv())
		h.Handle(c.p)
		got := h.seen()
		if len(got) == 0 || got[0] != c.want || slices.Contains(got, "tv test 10.77.0.30") || slices.Contains(got, "tv use 10.77.0.30") {
			t.Errorf("%v for another machine: reported %q", c.p.Kind, got)
		}
		if !h.answers(tv4) || !h.answers(nas4) {
			t.Errorf("%v for another machine silences", c.p.Kind)
		}
	}
}

// What a card can send while its machine sleeps is distinguished from everything else, and
// alone it leaves the answers be.
func TestReaderKnowsTheCard(t *testing.T) {
	for _, c := range []struct {
		name string
		p    *lan.Packet
		want []string
		mere bool
	}{
		{"it answers us", lantest.ARPReply(nasMAC, lantest.PorterMAC, nas4, porter4), []string{"nas answer 10.77.0.20"}, true},
		{"it answers our announcement", lantest.ARPReply(nasMAC, lantest.PorterMAC, nas4, nas4), []string{"nas answer 10.77.0.20"}, true},
		{"it answers our solicitation", lantest.Advertise(nasMAC, lantest.PorterMAC, nasMAC, nas6), []string{"nas answer fd77::20"}, true},
		{"it answers for an address that is not registered", lantest.ARPReply(nasMAC, lantest.PorterMAC, free4, porter4), []string{"nas answer from 10.77.0.99"}, true},
		{"it answers our ping", pong(nas4, porter4), []string{"nas echo 10.77.0.20"}, true},
		{"it advertises unasked", &lan.Packet{Kind: lan.NeighborAdvertisement, Src: nasMAC, Dst: lantest.PorterMAC, From: nas6, SenderMAC: nasMAC, Target: nas6},
			[]string{"nas use fd77::20"}, false},
		{"it advertises to all", lantest.Advertise(nasMAC, ether.MAC{0x33, 0x33, 0, 0, 0, 1}, nasMAC, nas6), []string{"nas use fd77::20"}, false},
		{"it announces itself by a reply", lantest.ARPReply(nasMAC, ether.Broadcast, nas4, nas4), []string{"nas use 10.77.0.20"}, false},
		{"it announces itself", lantest.ARPRequest(nasMAC, ether.Broadcast, nas4, nas4), []string{"nas use 10.77.0.20"}, false},
		{"it asks us", lantest.ARPRequest(nasMAC, lantest.PorterMAC, nas4, porter4), []string{"nas use 10.77.0.20"}, false},
		{"it tests its address", lantest.ARPProbe(nasMAC, nas4), []string{"nas test 10.77.0.20"}, false},
		{"it sends a packet", lantest.IP(lan.UDP, nasMAC, nas6, porter6), []string{"nas packet fd77::20"}, false},
		{"its firmware asks for DHCP", lantest.IP(lan.UDP, nasMAC, netip.IPv4Unspecified(), netip.MustParseAddr("255.255.255.255")), []string{"nas frame"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t, 8, nas(), tv())
			h.View().targets[nasMAC].SetCardAnswers(true)
			h.Handle(c.p)
			if diff := cmp.Diff(c.want, h.seen()); diff != "" {
				t.Errorf("sightings (-want +got):\n%s", diff)
			}
			h.View().targets[nasMAC].SetCardAnswers(false) // or requesters would be noted
			if got := h.answers(nas4) && h.answers(nas6); got != c.mere {
				t.Errorf("still answered for: %t", got)
			}
		})
	}
}

// The reply to a probe of a service is reported. A connection is reset at once. The
// address speaks in any case.
func TestRepliesToProbes(t *testing.T) {
	accept := func() *lan.Packet {
		p := lantest.Segment(nasMAC, nas4, porter4, lan.ProbePort(0), lantest.SYN|lantest.ACK)
		p.FromPort = 22
		return p
	}
	refuse := func(p *lan.Packet) { p.Flags = lantest.RST | lantest.ACK }
	const packet = "nas packet 10.77.0.20"
	for _, c := range []struct {
		name   string
		p      *lan.Packet
		change func(*lan.Packet)
		want   []string
		resets int
	}{
		{"accepted", accept(), nil, []string{"nas accept 10.77.0.20:22/tcp"}, 1},
		{"accepted by a service that is not registered", accept(), func(p *lan.Packet) { p.FromPort = 23 }, []string{packet}, 1},
		{"not to a port of ours", accept(), func(p *lan.Packet) { p.ToPort = 60999 }, []string{packet}, 0},
		{"not to our MAC", accept(), func(p *lan.Packet) { p.Dst = clientMAC }, []string{packet}, 0},
		{"of another SYN", accept(), func(p *lan.Packet) { p.Ack++ }, []string{packet}, 0},
		{"refused", accept(), refuse, []string{"nas reset 10.77.0.20:22/tcp"}, 0},
		{"refused by a service that is not registered", accept(), func(p *lan.Packet) { refuse(p); p.FromPort = 23 }, []string{packet}, 0},
		{"another SYN refused", accept(), func(p *lan.Packet) { refuse(p); p.Ack++ }, []string{packet}, 0},
		{"another client refused", accept(), func(p *lan.Packet) { refuse(p); p.Dst = clientMAC }, []string{packet}, 0},
		{"neither", accept(), func(p *lan.Packet) { p.Flags = lantest.ACK }, []string{packet}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t, 8, nas())
			c.p.Ack = h.Sequence() + 1
			if c.change != nil {
				c.change(c.p)
			}
			h.Handle(c.p)
			if diff := cmp.Diff(c.want, h.seen()); diff != "" {
				t.Errorf("sightings (-want +got):\n%s", diff)
			}
			if len(h.sent) != c.resets {
				t.Errorf("%d resets, want %d", len(h.sent), c.resets)
			}
			h.mute(t, nas4)
		})
	}
}

// While packets are held for a machine that is up, what neighbors hear of it is
// reported: they may send the next packet to it.
func TestDiversion(t *testing.T) {
	for _, c := range []struct {
		name string
		p    *lan.Packet
		want bool
	}{
		{"it announces itself", lantest.ARPRequest(nasMAC, ether.Broadcast, nas4, nas4), true},
		{"it answers a client", lantest.ARPReply(nasMAC, clientMAC, nas4, client4), true},
		{"it answers us", lantest.ARPReply(nasMAC, lantest.PorterMAC, nas4, porter4), false},
	} {
		h := newFixture(t, 8, nas())
		for _, passing := range []bool{false, true} {
			if passing {
				h.View().targets[nasMAC].hold.HoldUnready()
			}
			h.Handle(c.p)
			if got := slices.Contains(h.seen(), "nas diversion"); got != (passing && c.want) {
				t.Errorf("%s: reported: %t; the hold passes: %t", c.name, got, passing)
			}
		}
	}
}
