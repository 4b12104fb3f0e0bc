package porter

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/ether"
	"nightporter/internal/guard"
	"nightporter/internal/handover"
	"nightporter/internal/lab"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
)

// A machine gets our MAC for a client only where that leads no other host
// here: a router is the way to others too.
func TestWhoseAnswersComeHere(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		router := netip.MustParseAddr("10.77.0.1")
		for _, c := range []struct {
			name string
			g    handover.Client
			want bool
		}{
			{"a neighbor", handover.Client{MachineIP: nas4, MAC: clientMAC, IP: client4}, true},
			{"a neighbor, IPv6", handover.Client{MachineIP: nas6, MAC: clientMAC, IP: client6}, true},
			{"behind a router", handover.Client{MachineIP: nas4, MAC: clientMAC, IP: far4}, false},
			{"the router itself", handover.Client{MachineIP: nas4, MAC: clientMAC, IP: router}, false},
			{"our own host", handover.Client{MachineIP: nas4, MAC: x.n.MAC(), IP: porter4}, false},
			{"our own address by another", handover.Client{MachineIP: nas4, MAC: strangerMAC, IP: porter4}, false},
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

// placedClients returns the MACs that the machine got for a client, oldest first.
func placedClients(x *fixture) (owners []ether.MAC) {
	for _, s := range x.sent {
		if s.Dst == nasMAC && (s.From == client4 || s.From == client6) && (s.Kind == lan.ARPRequest || s.Kind == lan.NeighborSolicitation) {
			owners = append(owners, s.SenderMAC)
		}
	}
	return owners
}

// However the arrival ends, the machine gets the MAC of the client.
func TestMachineIsToldWhereItsClientIs(t *testing.T) {
	for _, ip := range []netip.Addr{nas4, nas6} {
		for name, end := range map[string]func(*fixture, *entry, *peer){
			"its service opens":  func(x *fixture, _ *entry, up *peer) { up.open = []uint16{game.Number}; x.pass(2 * time.Second) },
			"it takes too long":  func(x *fixture, _ *entry, _ *peer) { x.pass(x.conf.Hold.ReadyTimeout) },
			"it registers again": func(x *fixture, _ *entry, _ *peer) { x.register(nas()) },
			"it was firmware":    func(x *fixture, _ *entry, up *peer) { x.down(up); x.pass(10 * time.Second) },
			"the porter ends":    func(x *fixture, e *entry, _ *peer) { x.dispatch(e, machine.Stopped{}) },
			"the client goes":    func(x *fixture, e *entry, _ *peer) { e.hold.Drop(); x.pass(2 * time.Second) },
			"another has its address": func(x *fixture, e *entry, _ *peer) {
				x.dispatch(e, machine.Conflicted{Addr: ip, By: strangerMAC})
				x.dispatch(e, machine.Stopped{})
			},
		} {
			t.Run(name+"/"+ip.String(), func(t *testing.T) {
				withLoop(t, nil, func(x *fixture) {
					e, up := asking(x, ip)
					end(x, e, up)
					if told := placedClients(x); told[len(told)-1] != clientMAC {
						t.Errorf("the client was stated last at %v", told[len(told)-1])
					}
				})
			})
		}
	}
}

// forwarding has the porter's host forward packets.
func (x *fixture) forwarding() {
	x.Helper()
	for _, name := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
		if err := x.host.Sysctl(name, "1"); err != nil {
			x.Fatal(err)
		}
	}
}

// asking has a client's datagram ask nas, which arrives.
func asking(x *fixture, ip netip.Addr) (*entry, *peer) {
	x.Helper()
	e, up := x.asleep(nas()), x.up(nas())
	x.down(up) // it sleeps still
	x.hear(datagram(ip, game.Number))
	x.peers = append(x.peers, up)
	x.hear(lantest.ARPProbe(nasMAC, nas4))
	x.pass(300 * time.Millisecond)
	if told := placedClients(x); len(told) < 3 || told[len(told)-1] != x.n.MAC() {
		x.Fatalf("the client was stated at %v, and the machine is %v", told, e.State())
	}
	return e, up
}

// sentOn has nas answer the client at our MAC, and reports whether that is sent on.
func (x *fixture) sentOn(ip netip.Addr) bool {
	x.Helper()
	n := len(x.sent)
	x.hear(lantest.Datagram(nasMAC, x.n.MAC(), netip.AddrPortFrom(ip, game.Number), clientOf(ip), "answer"))
	return slices.ContainsFunc(x.sent[n:], func(s sentFrame) bool { return s.Dst == clientMAC && s.From == ip && s.Kind == lan.UDP })
}

// What a machine sends to a client at our MAC is sent on by our kernel where that
// forwards, unless the guard keeps it from that, and by the reader otherwise.
func TestWhoSendsOnWhatIsForTheClient(t *testing.T) {
	for _, c := range []struct {
		name                        string
		forwards, guarded, fails    bool
		diverted, sentOn, sentAfter bool // sentAfter: once the claim is over
	}{
		{"a host", false, true, false, false, true, true},
		{"a host without a guard", false, false, false, false, true, true},
		{"one that forwards", true, true, false, true, true, false},
		{"one that forwards, and the guard fails", true, true, true, true, false, false},
		{"one that forwards, without a guard", true, false, false, false, false, false},
	} {
		for _, ip := range []netip.Addr{nas4, nas6} {
			t.Run(c.name+"/"+ip.String(), func(t *testing.T) {
				onLab(t, nil, func(x *fixture) {
					g := new(fakeGuard)
					if c.guarded {
						g = x.guarded()
					}
					if c.fails {
						g.fails = errors.New("gone")
					}
					if c.forwards {
						x.forwarding()
					}
					e, up := asking(x, ip)
					want := []guard.Flow{{From: ip, To: clientOf(ip).Addr()}}
					if !c.diverted {
						want = nil
					}
					if diff := cmp.Diff(want, g.ways, byValue); diff != "" {
						t.Errorf("diverted (-want +got):\n%s", diff)
					}
					if got := x.sentOn(ip); got != c.sentOn {
						t.Errorf("sent on while the service starts: %t", got)
					}
					up.open = []uint16{game.Number}
					x.pass(3 * time.Second)
					x.want(e, machine.Awake)
					if got := x.sentOn(ip); got != c.sentOn {
						t.Errorf("sent on when it is there: %t", got)
					}
					x.pass(machine.AnnouncedFor)
					if got := x.sentOn(ip); got != c.sentAfter || len(g.ways) > 0 {
						t.Errorf("sent on when the claim is over: %t, diverted: %v", got, g.ways)
					}
				})
			})
		}
	}
}

// However an arrival ends, nothing stays diverted.
func TestNothingStaysDiverted(t *testing.T) {
	for name, end := range map[string]func(*fixture, *entry, *peer){
		"it was firmware": func(x *fixture, _ *entry, up *peer) { x.down(up); x.pass(10 * time.Second) },
		"it is forgotten": func(x *fixture, e *entry, _ *peer) { x.dispatch(e, machine.Stopped{}); x.forget(e, "test") },
		"the porter ends": func(x *fixture, _ *entry, _ *peer) { x.releaseAll() },
		"another has its address": func(x *fixture, e *entry, _ *peer) {
			x.dispatch(e, machine.Conflicted{Addr: nas4, By: strangerMAC})
		},
	} {
		t.Run(name, func(t *testing.T) {
			onLab(t, nil, func(x *fixture) {
				g := x.guarded()
				x.forwarding()
				e, up := asking(x, nas4)
				if len(g.ways) != 1 {
					t.Fatalf("diverted while the service starts: %v", g.ways)
				}
				end(x, e, up)
				if len(g.ways) > 0 {
					t.Errorf("still diverted: %v", g.ways)
				}
			})
		})
	}
}

// The kernel's own word on forwarding is asked for by family.
func TestForwardingIsRead(t *testing.T) {
	withLoop(t, nil, func(*fixture) {
		for _, ip := range []netip.Addr{nas4, nas6} {
			if lan.Forwards(lab.Interface, ip) {
				t.Errorf("the lab's porter forwards packets to %v", ip)
			}
		}
	})
}
