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

// Two machines are watched and answered for. What is reported, and is anything
// answered?
func TestReader(t *testing.T) {
	linkLocal := netip.MustParseAddr("fe80::20")
	all := ether.MAC{0x33, 0x33, 0, 0, 0, 1}
	none := ether.MAC{}
	arp, ndp := lan.ARPRequest, lan.NeighborSolicitation
	for _, c := range []struct {
		name    string
		p       *lan.Packet
		want    []string   // the sightings
		replied []lan.Kind // the answers
	}{
		// From a watched machine.
		{"it tests its address", lantest.ARPProbe(nasMAC, nas4), []string{"nas test 10.77.0.20"}, nil},
		{"it tests its IPv6 address", lantest.DAD(nasMAC, nas6), []string{"nas test fd77::20"}, nil},
		{"it announces its address", lantest.ARPRequest(nasMAC, ether.Broadcast, nas4, nas4), []string{"nas use 10.77.0.20"}, nil},
		{"it asks for a neighbor", lantest.ARPRequest(nasMAC, ether.Broadcast, nas4, client4), []string{"nas use 10.77.0.20"}, nil},
		{"it solicits a neighbor", lantest.Solicit(nasMAC, nas6, client6), []string{"nas use fd77::20"}, nil},
		{"it solicits from its link-local address", lantest.Solicit(nasMAC, linkLocal, client6), []string{"nas frame from fe80::20"}, nil},
		{"it answers us", lantest.ARPReply(nasMAC, lantest.PorterMAC, nas4, porter4), []string{"nas answer 10.77.0.20"}, nil},
		{"it answers a client", lantest.ARPReply(nasMAC, clientMAC, nas4, client4), []string{"nas use 10.77.0.20"}, nil},
		{"it announces its address by a reply", lantest.ARPReply(nasMAC, ether.Broadcast, nas4, nas4), []string{"nas use 10.77.0.20"}, nil},
		{"it answers our solicitation", lantest.Advertise(nasMAC, lantest.PorterMAC, nasMAC, nas6), []string{"nas answer fd77::20"}, nil},
		{"... without an option", lantest.Advertise(nasMAC, lantest.PorterMAC, none, nas6), []string{"nas answer fd77::20"}, nil},
		{"it advertises to all", lantest.Advertise(nasMAC, all, nasMAC, nas6), []string{"nas use fd77::20"}, nil},
		{"it sends TCP", lantest.Segment(nasMAC, nas4, client4, 443, lantest.ACK), []string{"nas packet 10.77.0.20"}, nil},
		{"it opens a connection", lantest.Segment(nasMAC, nas4, client4, 443, lantest.SYN), []string{"nas packet 10.77.0.20"}, nil},
		{"it sends UDP", lantest.IP(lan.UDP, nasMAC, nas6, client6), []string{"nas packet fd77::20"}, nil},
		{"it pings", lantest.IP(lan.EchoRequest, nasMAC, nas4, client4), []string{"nas use 10.77.0.20"}, nil},
		{"it answers a ping", lantest.IP(lan.EchoReply, nasMAC, nas4, client4), []string{"nas use 10.77.0.20"}, nil},
		{"it sends other IP", lantest.IP(lan.IP, nasMAC, nas6, client6), []string{"nas use fd77::20"}, nil},
		{"its firmware asks for DHCP", lantest.IP(lan.UDP, nasMAC, netip.IPv4Unspecified(), netip.MustParseAddr("255.255.255.255")), []string{"nas frame"}, nil},
		{"it reports its groups", lantest.IP(lan.IP, nasMAC, netip.IPv6Unspecified(), netip.MustParseAddr("ff02::16")), []string{"nas frame"}, nil},
		{"it forwards a ping", lantest.IP(lan.EchoRequest, nasMAC, free4, client4), []string{"nas frame"}, nil},
		{"it forwards other IP", lantest.IP(lan.IP, nasMAC, free6, client6), []string{"nas frame"}, nil},
		{"it tests an address that it did not register", lantest.ARPProbe(nasMAC, free4), []string{"nas frame"}, nil},
		{"it answers us for an address that it did not register", lantest.ARPReply(nasMAC, lantest.PorterMAC, free4, porter4), []string{"nas answer from 10.77.0.99"}, nil},
		{"it advertises to us an address that it did not register", lantest.Advertise(nasMAC, lantest.PorterMAC, nasMAC, free6), []string{"nas answer from fd77::99"}, nil},
		{"it answers another host for such an address", lantest.ARPReply(nasMAC, clientMAC, free4, client4), []string{"nas frame from 10.77.0.99"}, nil},
		{"it answers our ping", pong(nas4, porter4), []string{"nas echo 10.77.0.20"}, nil},
		{"it answers our ping from another address", pong(free4, porter4), []string{"nas frame"}, nil},
		{"it uses an address that it did not register", lantest.ARPRequest(nasMAC, ether.Broadcast, free4, client4), []string{"nas frame from 10.77.0.99"}, nil},
		{"it knocks at itself", lantest.Segment(nasMAC, nas4, nas4, 22, lantest.SYN), []string{"nas packet 10.77.0.20"}, nil},
		{"it knocks at itself from nowhere", lantest.Segment(nasMAC, free4, nas4, 22, lantest.SYN), []string{"nas frame"}, nil},

		// A watched machine can be the client of another.
		{"it solicits another machine", lantest.Solicit(tvMAC, netip.MustParseAddr("fe80::30"), nas6), []string{"tv frame from fe80::30"}, []lan.Kind{ndp}},
		{"it knocks at another machine", lantest.Segment(nasMAC, nas4, tv4, 80, lantest.SYN), []string{"nas packet 10.77.0.20", "tv knock 10.77.0.30:80/tcp from 10.77.0.20:40000"}, nil},
		{"it uses the address of another machine", lantest.ARPReply(nasMAC, clientMAC, tv4, client4), []string{"nas frame from 10.77.0.30", "tv conflict 10.77.0.30 by " + nasMAC.String()}, nil},

		// Questions of others.
		{"a client asks", lantest.ARPRequest(clientMAC, ether.Broadcast, client4, nas4), nil, []lan.Kind{arp}},
		{"a client verifies what it knows", lantest.ARPRequest(clientMAC, lantest.PorterMAC, client4, nas4), nil, []lan.Kind{arp}},
		{"another host wants the address", lantest.ARPProbe(intruderMAC, nas4), nil, []lan.Kind{arp}},
		{"a client solicits", lantest.Solicit(clientMAC, client6, nas6), nil, []lan.Kind{ndp}},
		{"another host wants the IPv6 address", lantest.DAD(intruderMAC, nas6), nil, []lan.Kind{ndp}},
		{"a client asks for a free address", lantest.ARPRequest(clientMAC, ether.Broadcast, client4, free4), nil, nil},
		{"a client solicits a free address", lantest.Solicit(clientMAC, client6, free6), nil, nil},

		// Others who use a watched address.
		{"another host announces the address", lantest.ARPRequest(intruderMAC, ether.Broadcast, nas4, nas4), []string{"nas conflict 10.77.0.20 by " + intruderMAC.String()}, nil},
		{"another host asks from the address", lantest.ARPRequest(intruderMAC, ether.Broadcast, nas4, tv4), []string{"nas conflict 10.77.0.20 by " + intruderMAC.String()}, nil},
		{"another host answers for it", lantest.ARPReply(intruderMAC, clientMAC, nas4, client4), []string{"nas conflict 10.77.0.20 by " + intruderMAC.String()}, nil},
		{"another host advertises it", lantest.Advertise(intruderMAC, all, intruderMAC, nas6), []string{"nas conflict fd77::20 by " + intruderMAC.String()}, nil},
		{"... without an option", lantest.Advertise(intruderMAC, all, none, nas6), []string{"nas conflict fd77::20 by " + intruderMAC.String()}, nil},
		{"a relay names the machine", lantest.Advertise(intruderMAC, all, nasMAC, nas6), nil, nil},
		{"our own announcement comes back", lantest.ARPRequest(lantest.PorterMAC, ether.Broadcast, nas4, nas4), nil, nil},

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
		{"a SYN for a free address", syn(free4, 22), nil, nil},
		{"an ACK", lantest.Segment(clientMAC, client4, nas4, 22, lantest.ACK), nil, nil},
		{"a SYN-ACK", lantest.Segment(clientMAC, client4, nas4, 22, lantest.SYN|lantest.ACK), nil, nil},
		{"a RST", lantest.Segment(clientMAC, client4, nas4, 22, lantest.RST), nil, nil},
		{"a FIN", lantest.Segment(clientMAC, client4, nas4, 22, lantest.FIN|lantest.ACK), nil, nil},
		{"a SYN that is a FIN too", lantest.Segment(clientMAC, client4, nas4, 22, lantest.SYN|lantest.FIN), nil, nil},
		{"a fragment without a transport header", lantest.IP(lan.IP, clientMAC, client4, nas4), nil, nil},
		{"a frame of no known kind", &lan.Packet{Kind: lan.Other, Src: clientMAC}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t, 8, nas(), tv())
			h.Handle(c.p)
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

// The answer says that the address is at our own MAC.
func TestReaderAnswersWithOurMAC(t *testing.T) {
	h := newFixture(t, 8, nas())
	for _, ask := range []struct{ from, ip netip.Addr }{{client4, nas4}, {client6, nas6}} {
		frame, err := lan.NeighborProbe(clientMAC, ether.Broadcast, ask.from, ask.ip)
		h.Handle(parsed(t, frame, err))
		if len(h.sent) != 1 {
			t.Fatalf("%d answers to a question for %v", len(h.sent), ask.ip)
		}
		p := parsed(t, h.sent[0], nil)
		said := p.From
		if p.Kind == lan.NeighborAdvertisement {
			said = p.Target
		}
		if said != ask.ip || p.Src != lantest.PorterMAC || p.SenderMAC != lantest.PorterMAC || p.Dst != clientMAC {
			t.Errorf("answer %v from %v (%v) to %v: %v is at %v", p.Kind, p.Src, p.From, p.Dst, said, p.SenderMAC)
		}
		h.sent = nil
	}
}

// Frames as package lan builds them for the wire.
func TestReaderOnRealFrames(t *testing.T) {
	h := newFixture(t, 8, nas())
	frames, err := lan.Announcement(nasMAC, ether.Broadcast, nasMAC, nas4, netip.Addr{}, netip.Addr{})
	for _, f := range frames { // the request form and the reply form
		h.Handle(parsed(t, f, err))
		if diff := cmp.Diff([]string{"nas use 10.77.0.20"}, h.seen()); diff != "" {
			t.Errorf("the machine announces itself (-want +got):\n%s", diff)
		}
	}
	frames, err = lan.Announcement(intruderMAC, ether.Broadcast, intruderMAC, nas6, nas6, netip.Addr{})
	h.Handle(parsed(t, frames[0], err))
	if diff := cmp.Diff([]string{"nas conflict fd77::20 by " + intruderMAC.String()}, h.seen()); diff != "" {
		t.Errorf("another host announces itself (-want +got):\n%s", diff)
	}
	probe, err := lan.NeighborProbe(lantest.PorterMAC, nasMAC, porter4, nas4)
	answer, err2 := lan.AnswerTo(parsed(t, probe, err), nasMAC, nasMAC)
	h.Handle(parsed(t, answer, err2))
	if diff := cmp.Diff([]string{"nas answer 10.77.0.20"}, h.seen()); diff != "" {
		t.Errorf("the machine answers our probe (-want +got):\n%s", diff)
	}
	h.Handle(parsed(t, lan.MagicFrame(clientMAC, ether.Broadcast, nasMAC, nil), nil))
	if got := h.seen(); got != nil {
		t.Errorf("another host's magic packet was reported: %q", got)
	}
}

// With an empty view, as before the first machine, nothing happens.
func TestReaderWithoutMachines(t *testing.T) {
	h := newFixture(t, 8)
	h.SetView(NewView(Rules{}))
	for _, p := range []*lan.Packet{
		lantest.ARPRequest(clientMAC, ether.Broadcast, client4, nas4), lantest.ARPProbe(nasMAC, nas4), lantest.DAD(nasMAC, nas6),
		lantest.Solicit(clientMAC, client6, nas6), lantest.ARPReply(nasMAC, lantest.PorterMAC, nas4, porter4), syn(nas4, 22), echo(nas6),
		{Kind: lan.Other, Src: nasMAC},
	} {
		h.Handle(p)
	}
	if got := h.seen(); got != nil || h.sent != nil {
		t.Errorf("reported %q and sent %d frames", got, len(h.sent))
	}
}

// A watched machine (settling, arriving, or awake with an address still to be
// seen) is a client of the others too.
func TestWatchedMachineIsAClientToo(t *testing.T) {
	for _, c := range []struct {
		name    string
		p       *lan.Packet
		want    []string
		answers int
	}{
		{"it asks for another machine", lantest.ARPRequest(nasMAC, ether.Broadcast, nas4, tv4), []string{"nas use 10.77.0.20"}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t, 8, nas(), tv())
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

// Behind a repeater that puts its own MAC on the frames, the machine is known
// by what its ARP probe says. An answer would make the test of its address fail.
func TestMachineBehindARepeaterIsNotAnswered(t *testing.T) {
	h := newFixture(t, 8, nas())
	p := lantest.ARPProbe(nasMAC, nas4)
	p.Src = intruderMAC
	h.Handle(p)
	if len(h.sent) != 0 {
		t.Error("it was answered about itself: a duplicate")
	}
}

// Frames that are not for any target, and those of which a like one waits
// already, cost no allocation: a flood makes no garbage.
func TestNoAllocations(t *testing.T) {
	type flood struct {
		name string
		p    *lan.Packet
	}
	all := []flood{
		{"foreign ARP request", lantest.ARPRequest(clientMAC, ether.Broadcast, client4, free4)},
		{"foreign ARP reply", lantest.ARPReply(clientMAC, lantest.PorterMAC, client4, porter4)},
		{"foreign ARP probe", lantest.ARPProbe(clientMAC, free4)},
		{"foreign solicitation", lantest.Solicit(clientMAC, client6, free6)},
		{"foreign advertisement", lantest.Advertise(clientMAC, lantest.PorterMAC, clientMAC, client6)},
		{"foreign SYN", syn(free4, 22)},
		{"SYN to another port", syn(nas4, 23)},
		{"established connection", lantest.Segment(clientMAC, client4, nas4, 22, lantest.ACK)},
		{"foreign datagram", datagram(free4, 53)},
		{"foreign frame", &lan.Packet{Kind: lan.Other, Src: clientMAC}},
	}
	for name, p := range floods() {
		all = append(all, flood{name, p})
	}
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t, 64, nas(), tv())
			if got := testing.AllocsPerRun(200, func() { h.Handle(c.p) }); got != 0 {
				t.Errorf("%v allocations for each frame", got)
			}
		})
	}
}

func BenchmarkReader(b *testing.B) {
	for _, c := range []struct {
		name string
		p    func(machine.Spec) *lan.Packet
	}{
		{"foreign ARP", func(machine.Spec) *lan.Packet {
			return lantest.ARPRequest(clientMAC, ether.Broadcast, client4, free4)
		}},
		{"foreign packet", func(machine.Spec) *lan.Packet { return syn(free4, 22) }},
		{"ARP answered", func(s machine.Spec) *lan.Packet {
			return lantest.ARPRequest(clientMAC, ether.Broadcast, client4, s.Monitor[0].IP)
		}},
		{"solicitation answered", func(s machine.Spec) *lan.Packet {
			return lantest.Solicit(clientMAC, client6, s.Monitor[1].IP)
		}},
		{"flood of knocks", func(s machine.Spec) *lan.Packet { return syn(s.Monitor[0].IP, 22) }},
		{"flood from a watched machine", func(s machine.Spec) *lan.Packet {
			return lantest.Segment(s.MAC, s.Monitor[0].IP, client4, 443, lantest.ACK)
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			h, spec := benchFixture(b)
			p := c.p(spec)
			for b.Loop() {
				h.Handle(p)
			}
		})
	}
}
