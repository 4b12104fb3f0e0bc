package fastpath

import (
	"fmt"
	"net/netip"
	"testing"

	"nightporter/internal/ether"
	"nightporter/internal/handover"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
	"nightporter/internal/wakefilter"
)

// The cast of the tests. The addresses are those of the lab.
var (
	clientMAC   = ether.MAC{2, 0x77, 0, 0, 0, 10}
	nasMAC      = ether.MAC{2, 0x77, 0, 0, 0, 20}
	tvMAC       = ether.MAC{2, 0x77, 0, 0, 0, 30}
	otherMAC    = ether.MAC{2, 0x77, 0, 0, 0, 11} // asks, and never knocks
	intruderMAC = ether.MAC{2, 0x77, 0, 0, 0, 66} // uses addresses that are not its own

	porter4, porter6 = netip.MustParseAddr("10.77.0.2"), netip.MustParseAddr("fe80::2")
	client4, client6 = netip.MustParseAddr("10.77.0.10"), netip.MustParseAddr("fd77::10")
	nas4, nas6       = netip.MustParseAddr("10.77.0.20"), netip.MustParseAddr("fd77::20")
	tv4              = netip.MustParseAddr("10.77.0.30")
	free4            = netip.MustParseAddr("10.77.0.99")
	free6            = netip.MustParseAddr("fd77::99")

	ssh  = lantest.SSH
	game = lantest.Game
	ping = lantest.Ping
	show = machine.Port{Protocol: machine.TCP, Number: 80}
)

// nas has both families and a service of each protocol; tv has one address.
func nas() machine.Spec {
	ports := []machine.Port{ssh, game, ping}
	return machine.Spec{Name: "nas", MAC: nasMAC, IdleWatts: 50, SleepWatts: 2,
		Monitor: []machine.Address{{IP: nas4, Ports: ports}, {IP: nas6, Ports: ports}}}
}

func tv() machine.Spec {
	return machine.Spec{Name: "tv", MAC: tvMAC, Monitor: []machine.Address{{IP: tv4, Ports: []machine.Port{show}}}}
}

// The frames of the tests, as the parser leaves them.

// syn is a client that opens a TCP connection.
func syn(to netip.Addr, port uint16) *lan.Packet {
	from := client4
	if to.Is6() {
		from = client6
	}
	return lantest.Segment(clientMAC, from, to, port, lantest.SYN)
}

func datagram(to netip.Addr, port uint16) *lan.Packet {
	p := lantest.IP(lan.UDP, clientMAC, client4, to)
	p.FromPort, p.ToPort = lantest.ClientPort, port
	return p
}

func echo(to netip.Addr) *lan.Packet { return lantest.IP(lan.EchoRequest, clientMAC, client4, to) }

// pong answers an echo request of ours.
func pong(from, to netip.Addr) *lan.Packet {
	p := lantest.IP(lan.EchoReply, nasMAC, from, to)
	p.EchoID = lan.ProbePort(0)
	return p
}

// parsed reads a frame that package lan has built.
func parsed(tb testing.TB, frame []byte, err error) *lan.Packet {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
	p := new(lan.Packet)
	if v := p.Parse(frame); v != lan.Accepted {
		tb.Fatalf("a frame of our own making is %v", v)
	}
	return p
}

// fixture is a reader that watches machines, and what comes out of it.
type fixture struct {
	*Reader
	tb      testing.TB
	queue   chan Sighting
	names   map[ether.MAC]string
	sent    [][]byte
	replied []lan.Kind

	forwarded []ether.MAC // to whom
}

// newFixture has a reader watch specs and answer for all their addresses. room is
// how many sightings may wait for the loop.
func newFixture(tb testing.TB, room int, specs ...machine.Spec) *fixture {
	h := &fixture{tb: tb, queue: make(chan Sighting, room), names: make(map[ether.MAC]string)}
	h.Reader = New(Options{
		Send:      func(frame []byte) error { h.sent = append(h.sent, frame); return nil },
		Forward:   func(_ *lan.Packet, to ether.MAC) error { h.forwarded = append(h.forwarded, to); return nil },
		Replied:   func(k lan.Kind) { h.replied = append(h.replied, k) },
		Sightings: h.queue,
	})
	h.SetSelf(lantest.PorterMAC)
	v := NewView(Rules{})
	for _, spec := range specs {
		hold := handover.NewHold(8, handover.NewBudget(1<<20, 0))
		hold.HoldAll()
		t := NewTarget(spec, hold, new(wakefilter.Filter))
		t.Answer(spec.Addrs())
		v.Add(t, true, func(netip.Addr) bool { return false })
		v.AddGuests(t, true, func(netip.Addr) bool { return true })
		h.names[spec.MAC] = spec.Name
	}
	h.SetView(v)
	return h
}

// benchFixture watches a thousand machines. Answers go nowhere, and what is
// reported stays on its way: the loop is a step behind, as in a flood.
func benchFixture(b *testing.B) (*fixture, machine.Spec) {
	specs := lantest.Crowd(1000)
	h := newFixture(b, 8192, specs...)
	h.responder.Send = func([]byte) error { return nil }
	h.responder.Replied = func(lan.Kind) {}
	b.ReportAllocs()
	return h, specs[len(specs)/2]
}

// seen takes every sighting that waits, as the loop does, and describes it.
func (h *fixture) seen() []string {
	var all []string
	for {
		select {
		case s := <-h.queue:
			s.Taken()
			all = append(all, h.describe(s))
		default:
			return all
		}
	}
}

// answers tells whether the reader answers a client that asks for ip.
func (h *fixture) answers(ip netip.Addr) bool {
	h.tb.Helper()
	n := len(h.sent)
	if ip.Is4() {
		h.Handle(lantest.ARPRequest(clientMAC, ether.Broadcast, client4, ip))
	} else {
		h.Handle(lantest.Solicit(clientMAC, client6, ip))
	}
	return len(h.sent) > n
}

// describe says what a sighting is about.
func (h *fixture) describe(s Sighting) string {
	name := h.names[s.Target.MAC]
	switch s.Kind {
	case SawFrame:
		if s.Other.IsValid() {
			return fmt.Sprintf("%s frame from %s", name, s.Other)
		}
		return name + " frame"
	case SawTest:
		return fmt.Sprintf("%s test %s", name, s.Address.IP())
	case SawUse:
		return fmt.Sprintf("%s use %s", name, s.Address.IP())
	case SawPacket:
		return fmt.Sprintf("%s packet %s", name, s.Address.IP())
	case SawAnswer:
		return fmt.Sprintf("%s answer %s", name, s.Address.IP())
	case SawOtherAnswer:
		return fmt.Sprintf("%s answer from %s", name, s.Other)
	case SawEcho:
		return fmt.Sprintf("%s echo %s", name, s.Address.IP())
	case SawAccept:
		return fmt.Sprintf("%s accept %s", name, s.Service.ID)
	case SawReset:
		return fmt.Sprintf("%s reset %s", name, s.Service.ID)
	case SawReject:
		return fmt.Sprintf("%s reject %s", name, s.Service.ID)
	case SawKnock:
		return fmt.Sprintf("%s knock %s from %s", name, s.Service.ID, s.Source)
	case SawSuppressed:
		return name + " ignored"
	case SawConflict:
		return fmt.Sprintf("%s conflict %s by %s", name, s.Address.IP(), s.By)
	case SawContest:
		return fmt.Sprintf("%s contest %s by %s", name, s.Address.IP(), s.By)
	case SawRequest:
		return name + " request"
	case SawDiversion:
		return name + " diversion"
	}
	return fmt.Sprintf("%s kind %d", name, s.Kind)
}
