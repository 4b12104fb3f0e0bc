package porter

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/config"
	"nightporter/internal/ether"
	"nightporter/internal/lab"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
)

// overridden has machines claimed whose cards answer, and gives them 5 s.
func overridden(c *config.Config) { c.Claim.OverrideOffload, c.Probe.Timeout = true, 5*time.Second }

// behindItsCard is nas asleep, with a network card that answers for it.
func (x *fixture) behindItsCard() (*entry, *peer) {
	x.Helper()
	card := x.up(nas())
	card.card = true
	e := x.register(nas())
	x.pass(15 * time.Second)
	x.want(e, machine.Asleep, nas4, nas6)
	x.pass(8 * time.Second) // nothing is announced any more, and no client corrected
	return e, card
}

// Without the override it is reported with the remedy. With it the machine is
// claimed, stays so whatever its card says, and is claimed fast the next time.
func TestMachineBehindItsCard(t *testing.T) {
	withLoop(t, func(c *config.Config) { overridden(c); c.Claim.OverrideOffload = false }, func(x *fixture) {
		x.up(nas()).card = true
		e := x.register(nas())
		x.pass(20 * time.Second)
		x.want(e, machine.Awake)
		if x.logged(`WARN msg="machine awake"`) != 1 || x.logged(string(machine.WhyOnlyNIC)) == 0 || x.logged("-ArpOffload Disabled") != 1 {
			t.Errorf("the log does not say what is wrong:\n%s", &x.output)
		}
		lines := x.events.lines()
		if last := lines[len(lines)-1]; last != "awake, nas, only the network card or management firmware answers, (awake)" {
			t.Errorf("the last event is %q", last)
		}
	})
	withLoop(t, overridden, func(x *fixture) {
		e, card := x.behindItsCard()
		x.pass(time.Minute)
		x.want(e, machine.Asleep, nas4, nas6)
		x.register(nas())
		x.pass(claimTime)
		x.want(e, machine.Asleep, nas4, nas6)

		x.hear(lantest.IP(lan.IP, nasMAC, nas4, porter4))
		x.want(e, machine.Settling, nas6)
		x.pass(5 * time.Second)
		x.want(e, machine.Asleep, nas4, nas6)
		x.conf.Claim.OverrideOffload = false
		x.dispatch(e, machine.PolicyChanged{Policy: x.policy()})
		x.down(card)
		x.hear(lantest.ARPReply(nasMAC, x.n.MAC(), nas4, porter4))
		if e.State() != machine.Settling {
			t.Errorf("it is %v, although an answer counts now", e.State())
		}
	})
}

// A proof with the card known: TCP from one of its services, and nothing less.
func TestUpBehindItsCard(t *testing.T) {
	withLoop(t, overridden, func(x *fixture) {
		e, card := x.behindItsCard()
		x.hear(syn(nas4, 22))
		x.want(e, machine.Waking, nas4, nas6)
		card.pings = true
		x.pass(time.Second)
		x.want(e, machine.Waking, nas4, nas6)
		card.card = false
		x.pass(time.Second)
		x.want(e, machine.Arriving)
		card.open = []uint16{22}
		x.pass(time.Second)
		x.want(e, machine.Awake)
	})
}

// A datagram, or an echo request, is not sent to a machine because its card answers
// for the address. It is when its operating system does.
func TestReadyBehindItsCard(t *testing.T) {
	for name, knock := range map[string]*lan.Packet{"datagram": datagram(nas4, game.Number), "echo request": echo(nas4)} {
		for _, tcp := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				withLoop(t, overridden, func(x *fixture) {
					spec := nas()
					if !tcp {
						for i := range spec.Monitor {
							spec.Monitor[i].Ports = []machine.Port{game, ping}
						}
					}
					card := x.up(spec)
					card.card = true
					e := x.register(spec)
					x.pass(20 * time.Second)
					x.want(e, machine.Asleep, nas4, nas6)
					x.hear(knock)
					x.forgetSent()
					x.hear(lantest.ARPProbe(nasMAC, nas4)) // its firmware
					x.want(e, machine.Arriving)
					x.pass(time.Second)
					forwarded := func(s *sentFrame) bool { return s.Dst == nasMAC && s.From == client4 && s.Kind != lan.ARPRequest }
					if x.count(forwarded) != 0 {
						t.Error("forwarded to a card")
					}
					card.card, card.open = false, []uint16{game.Number}
					x.pass(2 * time.Second)
					if x.count(forwarded) != 1 {
						t.Errorf("%d packets forwarded to the machine", x.count(forwarded))
					}
					x.want(e, machine.Awake)
				})
			})
		}
	}
}

// The first answer after a claim may come to a reader that does not know of the
// card yet. Then it falls silent, and the machine is looked at again.
func TestAnswerBeforeTheCardWasKnown(t *testing.T) {
	withLoop(t, overridden, func(x *fixture) {
		e, _ := x.behindItsCard()
		e.target.SetCardAnswers(false)
		x.hear(lantest.ARPReply(nasMAC, x.n.MAC(), nas4, porter4))
		e.target.SetCardAnswers(true)
		x.pass(10 * time.Second)
		x.want(e, machine.Asleep, nas4, nas6)
	})
}

// A question for what only an operating system answers goes to the addresses, and
// to their TCP services: not to too many at once, and to each of them in turn.
func TestSystemQuestions(t *testing.T) {
	withLoop(t, overridden, func(x *fixture) {
		spec := nas()
		for i := range 4 * servicesProbed {
			spec.Monitor[0].Ports = append(spec.Monitor[0].Ports, machine.Port{Protocol: machine.TCP, Number: uint16(1000 + i)})
		}
		e := x.register(spec)
		x.forgetSent()
		for range 17 {
			x.do(time.Now(), e, machine.Probe{Addrs: []netip.Addr{nas4}, System: true})
		}
		asked, pinged := map[uint16]int{}, map[netip.Addr]int{}
		for _, s := range x.sent {
			switch {
			case s.Kind == lan.EchoRequest:
				pinged[s.To]++
			case s.Kind == lan.ARPRequest && s.To == nas4 && s.Dst == nasMAC:
			case s.Kind == lan.TCP && s.To == nas4:
				asked[s.ToPort]++
			default:
				t.Errorf("sent a %v to %v", s.Kind, s.To)
			}
		}
		for port, n := range asked {
			if n != servicesProbed {
				t.Errorf("port %d was asked %d times in 17 rounds, want %d", port, n, servicesProbed)
			}
		}
		if len(asked) != 17 {
			t.Errorf("%d services were asked, want 17", len(asked))
		}
		if diff := cmp.Diff(map[netip.Addr]int{nas4: 17}, pinged, byValue); diff != "" {
			t.Errorf("pinged (-want +got):\n%s", diff)
		}
	})
}

// A machine that cannot be asked has proved nothing: it is neither claimed nor is
// its card blamed. It is claimed when it can be.
func TestNoQuestionIsNoSilence(t *testing.T) {
	for name, set := range map[string]func(*config.Config){"plainly": nil, "for its system": overridden} {
		t.Run(name, func(t *testing.T) {
			withLoop(t, set, func(x *fixture) {
				if set != nil {
					x.up(nas()).card = true
				}
				e := x.register(nas())
				keep := x.n.transmit
				x.n.transmit = func(frame []byte) error {
					p := parsed(frame, nil)
					if set == nil || p.Kind == lan.EchoRequest {
						return errors.New("no buffer space")
					}
					return keep(frame)
				}
				x.pass(2 * time.Minute)
				if s := e.State(); s == machine.Asleep || x.logged(string(machine.WhyOnlyNIC)) != 0 {
					t.Errorf("it is %v:\n%s", s, &x.output)
				}
				if n := x.logged(`msg="cannot probe"`); set == nil && n != 1 {
					t.Errorf("said %d times", n)
				}
				if set == nil {
					x.n.transmit = keep
					x.pass(5 * time.Second)
					x.want(e, machine.Asleep, nas4, nas6)
				}
			})
		})
	}
}

// Frames go nowhere without a complaint while the cable is out. The last question
// before a claim finds that, although one of the addresses cannot be asked for.
func TestNoCarrierIsNoSilence(t *testing.T) {
	onLab(t, nil, func(x *fixture) {
		x.n.network.Store(&lan.Network{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.77.0.2/24")}}) // none for IPv6
		e := x.register(nas())
		if err := x.host.SetLink(lab.Interface, false); err != nil {
			t.Fatal(err)
		}
		x.pass(time.Minute)
		if e.State() == machine.Asleep {
			t.Error("claimed")
		}
	})
}

// Without an address of ours no question can be asked, and that is said for each
// address once.
func TestNoAddressToAskFrom(t *testing.T) {
	withLoop(t, func(c *config.Config) { c.Probe.Timeout = 30 * time.Second }, func(x *fixture) {
		x.n.network.Store(&lan.Network{}) // the interface has lost its addresses
		e := x.register(nas())
		x.pass(20 * time.Second)
		x.want(e, machine.Settling)
		for _, ip := range []netip.Addr{nas4, nas6} {
			if n := x.logged("has no source address for a probe of " + ip.String()); n != 1 {
				t.Errorf("said %d times for %v:\n%s", n, ip, &x.output)
			}
		}
		x.pass(time.Minute)
		if e.State() == machine.Asleep {
			t.Error("claimed")
		}
	})
}

// The last question before a claim goes to all hosts, so that another user of an
// address is found.
func TestLastQuestionGoesToAll(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		other := x.up(tv())
		other.addrs = []netip.Addr{nas4}
		e := x.register(nas())
		x.pass(claimTime)
		x.want(e, machine.Asleep, nas6)
		if !e.Conceded(nas4) {
			t.Errorf("conceded: %v", e.Status().Addresses)
		}
		broadcast := x.count(func(s *sentFrame) bool {
			return s.Kind == lan.ARPRequest && s.To == nas4 && s.From == porter4 && s.Dst == ether.Broadcast
		})
		if broadcast != 1 {
			t.Errorf("%d questions to all", broadcast)
		}
	})
}

// An address that another machine has, which may sleep, is looked at without a
// question to the LAN.
func TestRecheckKnowsTheUser(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		x.hear(arpUse(tvMAC, nas4))
		other := x.asleep(at(tv(), nas4))
		x.pass(10 * time.Minute)
		if !e.Conceded(nas4) || e.Status().Tally.Conflicts != 1 {
			t.Errorf("%v, %d conflicts", e.Status().Addresses, e.Status().Tally.Conflicts)
		}
		x.wantOwner(nas4, other)
	})
}

// A look that cannot be asked for says nothing: the address stays where it is.
func TestRecheckFails(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		e := x.asleep(nas())
		x.hear(arpUse(strangerMAC, nas4))
		x.n.transmit = func([]byte) error { return errors.New("no buffer space") }
		x.pass(10 * time.Minute)
		if !e.Conceded(nas4) || x.logged("cannot recheck an address") == 0 {
			t.Errorf("%v\n%s", e.Status().Addresses, &x.output)
		}
		x.keep(x.n)
		x.pass(10 * time.Minute)
		x.want(e, machine.Asleep, nas4, nas6)
	})
}
