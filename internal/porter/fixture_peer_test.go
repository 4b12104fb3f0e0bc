package porter

import (
	"net/netip"
	"slices"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

// The hosts of the tests. The addresses are those of the lab.
var (
	clientMAC   = ether.MAC{2, 0x77, 0, 0, 0, 10}
	otherMAC    = ether.MAC{2, 0x77, 0, 0, 0, 11} // a client that only asks, unless a test says otherwise
	nasMAC      = ether.MAC{2, 0x77, 0, 0, 0, 20}
	tvMAC       = ether.MAC{2, 0x77, 0, 0, 0, 30}
	strangerMAC = ether.MAC{2, 0x77, 0, 0, 0, 66} // uses addresses that are not its own

	porter4, porter6 = netip.MustParseAddr("10.77.0.2"), netip.MustParseAddr("fd77::2")
	client4, client6 = netip.MustParseAddr("10.77.0.10"), netip.MustParseAddr("fd77::10")
	nas4, nas6       = netip.MustParseAddr("10.77.0.20"), netip.MustParseAddr("fd77::20")
	tv4              = netip.MustParseAddr("10.77.0.30")
	unused4          = netip.MustParseAddr("10.77.0.99")
	far4             = netip.MustParseAddr("192.0.2.1") // in no network of the lab

	ssh  = lantest.SSH
	game = lantest.Game
	ping = lantest.Ping
	http = machine.Port{Protocol: machine.TCP, Number: 80}
)

// nas has both families and a service of each protocol; tv has one address.
func nas() machine.Spec {
	ports := []machine.Port{ssh, game, ping}
	return machine.Spec{Name: "nas", MAC: nasMAC, IdleWatts: 50, SleepWatts: 2,
		Monitor: []machine.Address{{IP: nas4, Ports: ports}, {IP: nas6, Ports: ports}}}
}

func tv() machine.Spec {
	return machine.Spec{Name: "tv", MAC: tvMAC, Monitor: []machine.Address{{IP: tv4, Ports: []machine.Port{http}}}}
}

// agentless is nas, which does not register.
func agentless() machine.Spec {
	s := nas()
	s.Agentless = true
	return s
}

// named returns a machine under another name.
func named(s machine.Spec, name string) machine.Spec {
	s.Name = name
	return s
}

// at returns a machine at other addresses, with one TCP service each.
func at(s machine.Spec, ips ...netip.Addr) machine.Spec {
	s.Monitor = nil
	for _, ip := range ips {
		s.Monitor = append(s.Monitor, machine.Address{IP: ip, Ports: []machine.Port{ssh}})
	}
	return s
}

// request is a registration before a sleep that says everything.
func request(s machine.Spec) registration.Request {
	return registration.Request{Spec: s, HasName: true, HasMonitor: true, HasIdleWatts: true, HasSleepWatts: true, HasPassword: true, HasWakeFrom: true}
}

// The frames of the tests, as the parser leaves them.

// arpUse is an announcement of the sender's own address.
func arpUse(src ether.MAC, ip netip.Addr) *lan.Packet {
	return lantest.ARPReply(src, ether.Broadcast, ip, ip)
}

// clientOf returns the client's address and port that packets for ip come from.
func clientOf(ip netip.Addr) netip.AddrPort {
	if ip.Is6() {
		return netip.AddrPortFrom(client6, lantest.ClientPort)
	}
	return netip.AddrPortFrom(client4, lantest.ClientPort)
}

// syn is a client that opens a TCP connection.
func syn(to netip.Addr, port uint16) *lan.Packet { return synFrom(clientMAC, to, port) }

func synFrom(src ether.MAC, to netip.Addr, port uint16) *lan.Packet {
	return parsed(lan.SYNProbe(src, lantest.PorterMAC, clientOf(to), netip.AddrPortFrom(to, port), 1))
}

func datagram(to netip.Addr, port uint16) *lan.Packet { return datagramFrom(clientMAC, to, port) }

func datagramFrom(src ether.MAC, to netip.Addr, port uint16) *lan.Packet {
	return lantest.Datagram(src, lantest.PorterMAC, clientOf(to), netip.AddrPortFrom(to, port), "hello")
}

func echo(to netip.Addr) *lan.Packet {
	return parsed(lan.EchoProbe(clientMAC, lantest.PorterMAC, clientOf(to).Addr(), to, 1, 1))
}

// parsed reads a frame that package lan has built.
func parsed(frame []byte, err error) *lan.Packet {
	p := new(lan.Packet)
	if err != nil {
		panic(err) // the test's own mistake
	}
	if v := p.Parse(frame); v != lan.Accepted {
		panic(v)
	}
	return p
}

// peer is a machine on the LAN that answers the porter's questions.
type peer struct {
	mac   ether.MAC
	addrs []netip.Addr // that it answers for
	open  []uint16     // ports of TCP and UDP
	card  bool         // it sleeps, and its network card answers ARP and neighbor discovery
	pings bool         // ... and echo requests
}

// up has a machine answer from now on, with no service.
func (x *fixture) up(spec machine.Spec) *peer {
	p := &peer{mac: spec.MAC, addrs: spec.Addrs()}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.peers = append(x.peers, p)
	return p
}

// down has it answer no more.
func (x *fixture) down(p *peer) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.peers = slices.DeleteFunc(x.peers, func(o *peer) bool { return o == p })
}

// answer answers a frame of the porter.
func (p *peer) answer(s *sentFrame) {
	if s.Src != s.on.MAC() || s.Dst != p.mac && s.Dst.Unicast() {
		return
	}
	has := func(ip netip.Addr) bool { return slices.Contains(p.addrs, ip) }
	open := slices.Contains(p.open, s.ToPort)
	ours := lan.IsProbePort(s.FromPort)
	var a *lan.Packet
	switch {
	case s.Kind == lan.ARPRequest && s.From != s.To && has(s.To):
		a = lantest.ARPReply(p.mac, s.Src, s.To, s.From)
	case s.Kind == lan.NeighborSolicitation && has(s.Target):
		a = lantest.Advertise(p.mac, s.Src, p.mac, s.Target)
	case s.Dst != p.mac || !has(s.To) || p.card && !(p.pings && s.Kind == lan.EchoRequest):
		return
	case s.Kind == lan.EchoRequest:
		a = lantest.IP(lan.EchoReply, p.mac, s.To, s.From)
		a.EchoID, a.EchoSeq = s.EchoID, s.EchoSeq
	case s.Kind == lan.TCP && ours:
		a = lantest.Segment(p.mac, s.To, s.From, s.FromPort, lantest.RST|lantest.ACK)
		if open {
			a.Flags = lantest.SYN | lantest.ACK
		}
		a.FromPort, a.Ack = s.ToPort, s.Seq+1
	case s.Kind == lan.UDP && !open:
		a = lantest.Unreachable(p.mac, s.Src, &s.Packet)
	default:
		return
	}
	s.on.reader.Handle(a)
}
