package porter

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// Two machines are watched and answered for. What is reported, and is anything
// answered?
func TestReader(t *testing.T) {
	linkLocal := netip.MustParseAddr("fe80::20")
	all := machine.MAC{0x33, 0x33, 0, 0, 0, 1}
	none := machine.MAC{}
	arp, ndp := lan.ARPRequest, lan.NeighborSolicitation
	for _, c := range []struct {
		name    string
		p       *lan.Packet
		want    []string   // the sightings
		replied []lan.Kind // the answers
	}{
		// From a watched machine.
		{"it tests its address", arpProbe(nasMAC, nas4), []string{"nas test 10.77.0.20"}, nil},
		{"it tests its IPv6 address", dad(nasMAC, nas6), []string{"nas test fd77::20"}, nil},
		{"it announces its address", arpRequest(nasMAC, machine.Broadcast, nas4, nas4), []string{"nas use 10.77.0.20"}, nil},
		{"it asks for a neighbour", arpRequest(nasMAC, machine.Broadcast, nas4, client4), []string{"nas use 10.77.0.20"}, nil},
		{"it solicits a neighbour", solicit(nasMAC, nas6, client6), []string{"nas use fd77::20"}, nil},
		{"it solicits from its link-local address", solicit(nasMAC, linkLocal, client6), []string{"nas frame"}, nil},
		{"it answers us", arpReply(nasMAC, porterMAC, nas4, porter4), []string{"nas answer 10.77.0.20"}, nil},
		{"it answers a client", arpReply(nasMAC, clientMAC, nas4, client4), []string{"nas use 10.77.0.20"}, nil},
		{"it announces its address by a reply", arpReply(nasMAC, machine.Broadcast, nas4, nas4), []string{"nas use 10.77.0.20"}, nil},
		{"it answers our solicitation", advertise(nasMAC, porterMAC, nasMAC, nas6), []string{"nas answer fd77::20"}, nil},
		{"... without an option", advertise(nasMAC, porterMAC, none, nas6), []string{"nas answer fd77::20"}, nil},
		{"it advertises to all", advertise(nasMAC, all, nasMAC, nas6), []string{"nas use fd77::20"}, nil},
		{"it sends TCP", segment(nasMAC, nas4, client4, 443, flagACK), []string{"nas packet 10.77.0.20"}, nil},
		{"it opens a connection", segment(nasMAC, nas4, client4, 443, flagSYN), []string{"nas packet 10.77.0.20"}, nil},
		{"it sends UDP", ipPacket(lan.UDP, nasMAC, nas6, client6), []string{"nas packet fd77::20"}, nil},
		{"it pings", ipPacket(lan.EchoRequest, nasMAC, nas4, client4), []string{"nas packet 10.77.0.20"}, nil},
		{"it answers a ping", ipPacket(lan.EchoReply, nasMAC, nas4, client4), []string{"nas packet 10.77.0.20"}, nil},
		{"it sends other IP", ipPacket(lan.IP, nasMAC, nas6, client6), []string{"nas packet fd77::20"}, nil},
		{"its firmware asks for DHCP", ipPacket(lan.UDP, nasMAC, netip.IPv4Unspecified(), netip.MustParseAddr("255.255.255.255")), []string{"nas frame"}, nil},
		{"it sends neither ARP nor IP", &lan.Packet{Kind: lan.Other, Src: nasMAC}, []string{"nas frame"}, nil},
		{"it uses an address that it did not register", arpRequest(nasMAC, machine.Broadcast, nobody4, client4), []string{"nas frame"}, nil},
		{"it knocks at itself", segment(nasMAC, nas4, nas4, 22, flagSYN), []string{"nas packet 10.77.0.20"}, nil},
		{"it knocks at itself from nowhere", segment(nasMAC, nobody4, nas4, 22, flagSYN), []string{"nas frame"}, nil},

		// A watched machine can be the client of another.
		{"it solicits another machine", solicit(tvMAC, netip.MustParseAddr("fe80::30"), nas6), []string{"tv frame"}, []lan.Kind{ndp}},
		{"it knocks at another machine", segment(nasMAC, nas4, tv4, 80, flagSYN), []string{"nas packet 10.77.0.20", "tv knock 10.77.0.30:80/tcp from 10.77.0.20:40000"}, nil},
		{"it uses the address of another machine", arpReply(nasMAC, clientMAC, tv4, client4), []string{"nas frame", "tv conflict 10.77.0.30 by " + nasMAC.String()}, nil},

		// Questions of others.
		{"a client asks", arpRequest(clientMAC, machine.Broadcast, client4, nas4), nil, []lan.Kind{arp}},
		{"a client verifies what it knows", arpRequest(clientMAC, porterMAC, client4, nas4), nil, []lan.Kind{arp}},
		{"another host wants the address", arpProbe(thiefMAC, nas4), nil, []lan.Kind{arp}},
		{"a client solicits", solicit(clientMAC, client6, nas6), nil, []lan.Kind{ndp}},
		{"another host wants the IPv6 address", dad(thiefMAC, nas6), nil, []lan.Kind{ndp}},
		{"a client asks for an address of nobody", arpRequest(clientMAC, machine.Broadcast, client4, nobody4), nil, nil},
		{"a client solicits an address of nobody", solicit(clientMAC, client6, nobody6), nil, nil},

		// Others who use a watched address.
		{"another host announces the address", arpRequest(thiefMAC, machine.Broadcast, nas4, nas4), []string{"nas conflict 10.77.0.20 by " + thiefMAC.String()}, nil},
		{"another host asks from the address", arpRequest(thiefMAC, machine.Broadcast, nas4, tv4), []string{"nas conflict 10.77.0.20 by " + thiefMAC.String()}, nil},
		{"another host answers for it", arpReply(thiefMAC, clientMAC, nas4, client4), []string{"nas conflict 10.77.0.20 by " + thiefMAC.String()}, nil},
		{"another host advertises it", advertise(thiefMAC, all, thiefMAC, nas6), []string{"nas conflict fd77::20 by " + thiefMAC.String()}, nil},
		{"... without an option", advertise(thiefMAC, all, none, nas6), []string{"nas conflict fd77::20 by " + thiefMAC.String()}, nil},
		{"a relay names the machine", advertise(thiefMAC, all, nasMAC, nas6), nil, nil},
		{"our own announcement comes back", arpRequest(porterMAC, machine.Broadcast, nas4, nas4), nil, nil},

		// Knocks.
		{"a SYN", syn(nas4, 22), []string{"nas knock 10.77.0.20:22/tcp from 10.77.0.10:40000"}, nil},
		{"a SYN over IPv6", syn(nas6, 22), []string{"nas knock [fd77::20]:22/tcp from [fd77::10]:40000"}, nil},
		{"a SYN for the other machine", syn(tv4, 80), []string{"tv knock 10.77.0.30:80/tcp from 10.77.0.10:40000"}, nil},
		{"a datagram", datagram(nas4, 27015), []string{"nas knock 10.77.0.20:27015/udp from 10.77.0.10:40000"}, nil},
		{"an echo request", echo(nas4), []string{"nas knock 10.77.0.20/icmp from 10.77.0.10:0"}, nil},
		{"a SYN to a port of the other protocol", syn(nas4, 27015), nil, nil},
		{"a datagram to a port of the other protocol", datagram(nas4, 22), nil, nil},
		{"a SYN to a port that is not registered", syn(nas4, 23), nil, nil},
		{"a SYN to a port of the other machine", syn(tv4, 22), nil, nil},
		{"an echo request where none is registered", echo(tv4), nil, nil},
		{"a SYN for nobody", syn(nobody4, 22), nil, nil},
		{"an ACK", segment(clientMAC, client4, nas4, 22, flagACK), nil, nil},
		{"a SYN-ACK", segment(clientMAC, client4, nas4, 22, flagSYN|flagACK), nil, nil},
		{"a RST", segment(clientMAC, client4, nas4, 22, flagRST), nil, nil},
		{"a FIN", segment(clientMAC, client4, nas4, 22, flagFIN|flagACK), nil, nil},
		{"a SYN that is a FIN too", segment(clientMAC, client4, nas4, 22, flagSYN|flagFIN), nil, nil},
		{"a fragment without a transport header", ipPacket(lan.IP, clientMAC, client4, nas4), nil, nil},
		{"a frame of no known kind", &lan.Packet{Kind: lan.Other, Src: clientMAC}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHall(t, 8, nas(), tv())
			h.handle(c.p)
			if diff := cmp.Diff(c.want, h.seen()); diff != "" {
				t.Errorf("sightings (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.replied, h.replied); diff != "" {
				t.Errorf("answers (-want +got):\n%s", diff)
			}
			if len(h.sent) != len(c.replied) {
				t.Errorf("%d frames sent, want %d", len(h.sent), len(c.replied))
			}
		})
	}
}

// A machine that claims to be another speaks for none of its own addresses, and
// not for those of the other.
func TestMachineSpeaksForItselfOnly(t *testing.T) {
	for _, p := range []*lan.Packet{
		arpReply(nasMAC, clientMAC, tv4, client4), arpProbe(nasMAC, tv4), segment(nasMAC, tv4, client4, 443, flagACK),
	} {
		h := newHall(t, 8, nas(), tv())
		h.handle(p)
		got := h.seen()
		if len(got) == 0 || got[0] != "nas frame" || slices.Contains(got, "tv test 10.77.0.30") || slices.Contains(got, "tv use 10.77.0.30") {
			t.Errorf("%v for another machine: reported %q", p.Kind, got)
		}
		if !h.answers(tv4) || !h.answers(nas4) {
			t.Errorf("%v for another machine silences", p.Kind)
		}
	}
}

// The answer says that the address is at our own MAC.
func TestReaderAnswersWithOurMAC(t *testing.T) {
	h := newHall(t, 8, nas())
	for _, ask := range []struct{ from, ip netip.Addr }{{client4, nas4}, {client6, nas6}} {
		frame, err := lan.NeighborProbe(clientMAC, machine.Broadcast, ask.from, ask.ip)
		h.handle(parsed(t, frame, err))
		if len(h.sent) != 1 {
			t.Fatalf("%d answers to a question for %v", len(h.sent), ask.ip)
		}
		p := parsed(t, h.sent[0], nil)
		said := p.From
		if p.Kind == lan.NeighborAdvertisement {
			said = p.Target
		}
		if said != ask.ip || p.Src != porterMAC || p.SenderMAC != porterMAC || p.Dst != clientMAC {
			t.Errorf("answer %v from %v (%v) to %v: %v is at %v", p.Kind, p.Src, p.From, p.Dst, said, p.SenderMAC)
		}
		h.sent = nil
	}
}

// Frames as package lan builds them for the wire.
func TestReaderOnRealFrames(t *testing.T) {
	h := newHall(t, 8, nas())
	frames, err := lan.Announcement(nasMAC, machine.Broadcast, nasMAC, nas4, netip.Addr{}, netip.Addr{})
	for _, f := range frames { // the request form and the reply form
		h.handle(parsed(t, f, err))
		if diff := cmp.Diff([]string{"nas use 10.77.0.20"}, h.seen()); diff != "" {
			t.Errorf("the machine announces itself (-want +got):\n%s", diff)
		}
	}
	frames, err = lan.Announcement(thiefMAC, machine.Broadcast, thiefMAC, nas6, nas6, netip.Addr{})
	h.handle(parsed(t, frames[0], err))
	if diff := cmp.Diff([]string{"nas conflict fd77::20 by " + thiefMAC.String()}, h.seen()); diff != "" {
		t.Errorf("another host announces itself (-want +got):\n%s", diff)
	}
	probe, err := lan.NeighborProbe(porterMAC, nasMAC, porter4, nas4)
	answer, err2 := lan.AnswerTo(parsed(t, probe, err), nasMAC, nasMAC)
	h.handle(parsed(t, answer, err2))
	if diff := cmp.Diff([]string{"nas answer 10.77.0.20"}, h.seen()); diff != "" {
		t.Errorf("the machine answers our probe (-want +got):\n%s", diff)
	}
	h.handle(parsed(t, lan.MagicFrame(clientMAC, machine.Broadcast, nasMAC, nil), nil))
	if got := h.seen(); got != nil {
		t.Errorf("somebody else's magic packet was reported: %q", got)
	}
}

// A knock carries the kernel's receive time, from which the latency of the
// wake is measured.
func TestKnockTime(t *testing.T) {
	h := newHall(t, 8, nas())
	p := syn(nas4, 22)
	p.Time = time.Unix(1_700_000_000, 42)
	h.handle(p)
	if s := <-h.queue; !s.at.Equal(p.Time) {
		t.Errorf("knock at %v, want %v", s.at, p.Time)
	}
}

// With an empty view, as before the first machine, nothing happens.
func TestReaderWithoutMachines(t *testing.T) {
	h := newHall(t, 8)
	h.view.Store(&view{})
	for _, p := range []*lan.Packet{
		arpRequest(clientMAC, machine.Broadcast, client4, nas4), arpProbe(nasMAC, nas4), dad(nasMAC, nas6),
		solicit(clientMAC, client6, nas6), arpReply(nasMAC, porterMAC, nas4, porter4), syn(nas4, 22), echo(nas6),
		{Kind: lan.Other, Src: nasMAC},
	} {
		h.handle(p)
	}
	if got := h.seen(); got != nil || h.sent != nil {
		t.Errorf("reported %q and sent %d frames", got, len(h.sent))
	}
}

func TestWakeFrom(t *testing.T) {
	prefixes := func(texts ...string) []netip.Prefix {
		var ps []netip.Prefix
		for _, s := range texts {
			ps = append(ps, netip.MustParsePrefix(s))
		}
		return ps
	}
	const knock4, knock6 = "nas knock 10.77.0.20:22/tcp from 10.77.0.10:40000", "nas knock [fd77::20]:22/tcp from [fd77::10]:40000"
	for _, c := range []struct {
		name              string
		operator, machine []netip.Prefix
		want              []string
	}{
		{"everyone may", nil, nil, []string{knock4, knock6}},
		{"the operator allows the client", prefixes("10.77.0.0/24", "fd77::/64"), nil, []string{knock4, knock6}},
		{"the operator allows one family", prefixes("10.77.0.10/32"), nil, []string{knock4}},
		{"the operator allows others", prefixes("10.78.0.0/16"), nil, nil},
		{"the machine allows the client", nil, prefixes("fd77::10/128"), []string{knock6}},
		{"the machine allows others", nil, prefixes("10.77.0.11/32"), nil},
		{"the machine narrows what the operator allows", prefixes("10.77.0.0/24", "fd77::/64"), prefixes("10.77.0.10/32"), []string{knock4}},
		{"the machine cannot widen it", prefixes("10.78.0.0/16"), prefixes("0.0.0.0/0", "::/0"), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec := nas()
			spec.WakeFrom = c.machine
			h := newHall(t, 8, spec)
			h.view.Load().from = c.operator
			h.handle(syn(nas4, 22))
			h.handle(syn(nas6, 22))
			if diff := cmp.Diff(c.want, h.seen()); diff != "" {
				t.Errorf("sightings (-want +got):\n%s", diff)
			}
			if !h.answers(nas4) {
				t.Error("who may not wake the machine is not answered either")
			}
		})
	}
}
