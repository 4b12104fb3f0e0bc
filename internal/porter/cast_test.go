package porter

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/claim"
	"nightporter/internal/fair"
	"nightporter/internal/handover"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// The cast of the tests. The addresses are those of the lab.
var (
	porterMAC = machine.MAC{2, 0x77, 0, 0, 0, 2}
	clientMAC = machine.MAC{2, 0x77, 0, 0, 0, 10}
	nasMAC    = machine.MAC{2, 0x77, 0, 0, 0, 20}
	tvMAC     = machine.MAC{2, 0x77, 0, 0, 0, 30}
	passerMAC = machine.MAC{2, 0x77, 0, 0, 0, 11} // asks, and never knocks
	thiefMAC  = machine.MAC{2, 0x77, 0, 0, 0, 66} // uses addresses that are not its own

	porter4, porter6 = netip.MustParseAddr("10.77.0.2"), netip.MustParseAddr("fe80::2")
	client4, client6 = netip.MustParseAddr("10.77.0.10"), netip.MustParseAddr("fd77::10")
	nas4, nas6       = netip.MustParseAddr("10.77.0.20"), netip.MustParseAddr("fd77::20")
	tv4              = netip.MustParseAddr("10.77.0.30")
	nobody4          = netip.MustParseAddr("10.77.0.99")
	nobody6          = netip.MustParseAddr("fd77::99")

	ssh  = machine.Port{Protocol: machine.TCP, Number: 22}
	game = machine.Port{Protocol: machine.UDP, Number: 27015}
	ping = machine.Port{Protocol: machine.ICMP}
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

func arpRequest(src, dst machine.MAC, from, to netip.Addr) *lan.Packet {
	return &lan.Packet{Kind: lan.ARPRequest, Src: src, Dst: dst, SenderMAC: src, From: from, To: to}
}

// arpProbe asks whether ip is free (RFC 5227 section 2.1.1).
func arpProbe(src machine.MAC, ip netip.Addr) *lan.Packet {
	return arpRequest(src, machine.Broadcast, netip.IPv4Unspecified(), ip)
}

func arpReply(src, dst machine.MAC, from, to netip.Addr) *lan.Packet {
	return &lan.Packet{Kind: lan.ARPReply, Src: src, Dst: dst, SenderMAC: src, From: from, To: to}
}

func solicit(src machine.MAC, from, target netip.Addr) *lan.Packet {
	return &lan.Packet{Kind: lan.NeighborSolicitation, Src: src, From: from, To: target, SenderMAC: src, Target: target}
}

// dad asks whether ip is free (RFC 4862 section 5.4.2). It carries no option.
func dad(src machine.MAC, ip netip.Addr) *lan.Packet {
	return &lan.Packet{Kind: lan.NeighborSolicitation, Src: src, From: netip.IPv6Unspecified(), Target: ip}
}

// advertise names its own sender; without an option it does so by the frame.
func advertise(src, dst, option machine.MAC, target netip.Addr) *lan.Packet {
	return &lan.Packet{Kind: lan.NeighborAdvertisement, Src: src, Dst: dst, From: target,
		To: netip.IPv6LinkLocalAllNodes(), SenderMAC: option, Target: target, Solicited: dst == porterMAC}
}

func ipPacket(kind lan.Kind, src machine.MAC, from, to netip.Addr) *lan.Packet {
	return &lan.Packet{Kind: kind, Src: src, Dst: porterMAC, From: from, To: to}
}

const (
	flagFIN, flagSYN, flagRST, flagACK = 1, 2, 4, 16

	clientPort = 40000
)

func segment(src machine.MAC, from, to netip.Addr, port uint16, flags byte) *lan.Packet {
	p := ipPacket(lan.TCP, src, from, to)
	p.FromPort, p.ToPort, p.Flags = clientPort, port, flags
	return p
}

// syn is a client that opens a TCP connection.
func syn(to netip.Addr, port uint16) *lan.Packet {
	from := client4
	if to.Is6() {
		from = client6
	}
	return segment(clientMAC, from, to, port, flagSYN)
}

func datagram(to netip.Addr, port uint16) *lan.Packet {
	p := ipPacket(lan.UDP, clientMAC, client4, to)
	p.FromPort, p.ToPort = clientPort, port
	return p
}

func echo(to netip.Addr) *lan.Packet { return ipPacket(lan.EchoRequest, clientMAC, client4, to) }

// accepts is the machine's SYN-ACK to our question at a service.
func (h *night) accepts(ip netip.Addr, port uint16) *lan.Packet {
	to := porter4
	if ip.Is6() {
		to = porter6
	}
	p := segment(nasMAC, ip, to, firstPort, flagSYN|flagACK)
	p.Dst, p.FromPort, p.Ack = h.n.MAC(), port, h.n.reader.isn+1
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

// hall is a reader that watches machines, and what comes out of it.
type hall struct {
	*reader
	tb      testing.TB
	queue   chan sighting
	sent    [][]byte
	replied []lan.Kind
}

// newHall has a reader watch specs and answer for all their addresses. room is
// how many sightings may wait for the loop.
func newHall(tb testing.TB, room int, specs ...machine.Spec) *hall {
	h := &hall{tb: tb, queue: make(chan sighting, room), reader: new(reader)}
	h.reader.sightings = h.queue
	h.responder = claim.Responder{Self: porterMAC,
		Send:    func(frame []byte) error { h.sent = append(h.sent, frame); return nil },
		Replied: func(k lan.Kind) { h.replied = append(h.replied, k) },
	}
	v := &view{machines: make(map[machine.MAC]*watch), addrs: make(map[netip.Addr]*address)}
	for _, spec := range specs {
		r := &resident{Machine: machine.New(spec, machine.Policy{}, time.Now()), hold: handover.NewHold(8, handover.NewBudget(1<<20, 0)), judge: new(fair.Judge)}
		r.hold.Keep()
		r.watch = newWatch(r, spec)
		r.watch.answerFor(spec.Addrs())
		v.machines[spec.MAC] = r.watch
		for _, a := range r.watch.addrs {
			v.addrs[a.ip] = a
		}
	}
	h.view.Store(v)
	return h
}

// seen takes every sighting that waits, as the loop does, and describes it.
func (h *hall) seen() []string {
	var all []string
	for {
		select {
		case s := <-h.queue:
			s.taken()
			all = append(all, describe(s))
		default:
			return all
		}
	}
}

// answers tells whether the reader answers a client that asks for ip.
func (h *hall) answers(ip netip.Addr) bool {
	h.tb.Helper()
	n := len(h.sent)
	if ip.Is4() {
		h.handle(arpRequest(clientMAC, machine.Broadcast, client4, ip))
	} else {
		h.handle(solicit(clientMAC, client6, ip))
	}
	return len(h.sent) > n
}

// describe says what a sighting is about.
func describe(s sighting) string {
	name := s.watch.resident.name()
	switch s.kind {
	case sawFrame:
		return name + " frame"
	case sawTest:
		return fmt.Sprintf("%s test %s", name, s.addr.ip)
	case sawUse:
		return fmt.Sprintf("%s use %s", name, s.addr.ip)
	case sawPacket:
		return fmt.Sprintf("%s packet %s", name, s.addr.ip)
	case sawAsked:
		return name + " asked"
	case sawAnswer:
		return fmt.Sprintf("%s answer %s", name, s.addr.ip)
	case sawTold:
		return name + " told"
	case sawAccepted:
		return fmt.Sprintf("%s accepts %s", name, s.door.service)
	case sawObjected:
		return fmt.Sprintf("%s objects %s", name, s.door.service)
	case sawKnock:
		return fmt.Sprintf("%s knock %s from %s", name, s.door.service, s.source)
	case sawSuppressed:
		return fmt.Sprintf("%s suppressed %s from %s: %s", name, s.door.service, s.source, s.why)
	case sawConflict:
		return fmt.Sprintf("%s conflict %s by %s", name, s.addr.ip, s.by)
	}
	return fmt.Sprintf("%s kind %d", name, s.kind)
}
