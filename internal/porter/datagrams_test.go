package porter

import (
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/handover"
	"nightporter/internal/lab"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
)

// A machine is told that a client is at our MAC only where that leads nobody else
// here: a router is the way to others too.
func TestWhoseAnswersComeHere(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		router := netip.MustParseAddr("10.77.0.1")
		for _, c := range []struct {
			name string
			g    handover.Guest
			want bool
		}{
			{"a neighbor", handover.Guest{Addr: nas4, MAC: clientMAC, IP: client4}, true},
			{"a neighbor, IPv6", handover.Guest{Addr: nas6, MAC: clientMAC, IP: client6}, true},
			{"behind a router", handover.Guest{Addr: nas4, MAC: clientMAC, IP: far4}, false},
			{"the router itself", handover.Guest{Addr: nas4, MAC: clientMAC, IP: router}, false},
			{"our own host", handover.Guest{Addr: nas4, MAC: x.n.MAC(), IP: porter4}, false},
			{"our own address by another", handover.Guest{Addr: nas4, MAC: strangerMAC, IP: porter4}, false},
		} {
			network := *x.n.network.Load()
			network.Gateways = []netip.Addr{router}
			x.n.network.Store(&network)
			if got := x.n.divertible(c.g); got != c.want {
				t.Errorf("%s: %t, want %t", c.name, got, c.want)
			}
		}
	})
}

// placedClients returns where the machine was told that a client is, oldest first.
func (x *fixture) placedClients() (owners []machine.MAC) {
	for _, s := range x.sent {
		if s.Dst == nasMAC && (s.From == client4 || s.From == client6) && (s.Kind == lan.ARPRequest || s.Kind == lan.NeighborSolicitation) {
			owners = append(owners, s.SenderMAC)
		}
	}
	return owners
}

// However the arrival ends, the machine is told where the client is.
func TestMachineIsToldWhereItsClientIs(t *testing.T) {
	for _, ip := range []netip.Addr{nas4, nas6} {
		for name, end := range map[string]func(*fixture, *entry, *peer){
			"its service opens":  func(x *fixture, _ *entry, up *peer) { up.open = []uint16{game.Number}; x.pass(2 * time.Second) },
			"it takes too long":  func(x *fixture, _ *entry, _ *peer) { x.pass(x.conf.Hold.ReadyTimeout) },
			"it registers again": func(x *fixture, _ *entry, _ *peer) { x.register(nas()) },
			"it was firmware":    func(x *fixture, _ *entry, up *peer) { x.down(up); x.pass(10 * time.Second) },
			"the porter ends":    func(x *fixture, e *entry, _ *peer) { x.tell(e, machine.Stopped{}) },
			"the client goes":    func(x *fixture, e *entry, _ *peer) { e.hold.Drop(); x.pass(2 * time.Second) },
			"another has its address": func(x *fixture, e *entry, _ *peer) {
				x.tell(e, machine.Conflicted{Addr: ip, By: strangerMAC})
				x.tell(e, machine.Stopped{})
			},
		} {
			t.Run(name+"/"+ip.String(), func(t *testing.T) {
				withLoop(t, nil, func(x *fixture) {
					e, up := x.asleep(nas()), x.up(nas())
					x.down(up) // it sleeps still
					x.hear(datagram(ip, game.Number))
					x.peers = append(x.peers, up)
					x.hear(lantest.ARPProbe(nasMAC, nas4))
					x.pass(300 * time.Millisecond)
					if told := x.placedClients(); len(told) < 3 || told[len(told)-1] != x.n.MAC() {
						t.Fatalf("the client was told to be at %v, and the machine is %v", told, e.State())
					}
					end(x, e, up)
					if told := x.placedClients(); told[len(told)-1] != clientMAC {
						t.Errorf("the client was told last to be at %v", told[len(told)-1])
					}
				})
			})
		}
	}
}

// The kernel's own word on forwarding is asked for by family.
func TestForwardingIsRead(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		for _, ip := range []netip.Addr{nas4, nas6} {
			if lan.Forwards(lab.Interface, ip) {
				t.Errorf("the lab's porter forwards packets to %v", ip)
			}
		}
	})
}
