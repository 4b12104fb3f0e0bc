package fastpath

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/ether"
	"nightporter/internal/handover"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
)

// asking has a client's datagram ask nas whether its game is there.
func asking(t *testing.T, byKernel bool) *fixture {
	h := newFixture(t, 8, nas())
	hold := h.View().targets[nasMAC].hold
	p := datagram(nas4, game.Number)
	p.Frame = []byte("hello")
	h.Handle(p)
	hold.HoldUnready()
	g := handover.Client{MachineIP: nas4, MAC: clientMAC, IP: client4}
	hold.Divert(g, byKernel)
	hold.SendProbe(machine.Service{Addr: nas4, Port: game}, g, func([]byte, lan.Checksum) error { return nil })
	h.seen()
	return h
}

// unreachable is a refusal of that datagram.
func unreachable() *lan.Packet {
	p := lantest.IP(lan.PortUnreachable, nasMAC, nas4, client4)
	p.Network, p.Target, p.FromPort, p.ToPort = 14, nas4, lantest.ClientPort, game.Number
	return p
}

// TestRefusalGoesNoFurther: the client hears nothing of a datagram that was refused
// while it asks. All else that the machine sends it goes on.
func TestRefusalGoesNoFurther(t *testing.T) {
	answer := func(kind lan.Kind) *lan.Packet {
		p := lantest.IP(kind, nasMAC, nas4, client4)
		p.Network = 14
		return p
	}
	toClient := []ether.MAC{clientMAC}
	for _, c := range []struct {
		name    string
		p       *lan.Packet
		change  func(*lan.Packet)
		refusal bool
		to      []ether.MAC
	}{
		{"refused", unreachable(), nil, true, nil},
		{"another address refused", unreachable(), func(p *lan.Packet) { p.Target = nas6 }, false, toClient},
		{"another port refused", unreachable(), func(p *lan.Packet) { p.ToPort++ }, false, toClient},
		{"another datagram refused", unreachable(), func(p *lan.Packet) { p.FromPort++ }, false, toClient},
		{"another client refused", unreachable(), func(p *lan.Packet) { p.To = free4 }, false, nil},
		{"not to our MAC", unreachable(), func(p *lan.Packet) { p.Dst = clientMAC }, false, nil},
		{"by another host", unreachable(), func(p *lan.Packet) { p.Src = otherMAC }, false, nil},
		{"answered", answer(lan.UDP), nil, false, toClient},
		{"of another connection", answer(lan.TCP), nil, false, toClient},
		{"a fragment", answer(lan.IP), nil, false, toClient},
		{"to us", answer(lan.UDP), func(p *lan.Packet) { p.To = porter4 }, false, nil},
		{"an advertisement", lantest.Advertise(nasMAC, lantest.PorterMAC, nasMAC, nas4), func(p *lan.Packet) { p.To, p.Network = client4, 14 }, false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, byKernel := range []bool{false, true} {
				h := asking(t, byKernel)
				if c.change != nil && !byKernel {
					c.change(c.p)
				}
				h.Handle(c.p)
				want := c.to
				if byKernel { // it sends on everything, and so we do nothing
					want = nil
				}
				if diff := cmp.Diff(want, h.forwarded); diff != "" {
					t.Errorf("our kernel forwards: %t; sent on (-want +got):\n%s", byKernel, diff)
				}
				if got := slices.Contains(h.seen(), "nas reject 10.77.0.20:27015/udp"); got != c.refusal {
					t.Errorf("our kernel forwards: %t; a refusal: %t", byKernel, got)
				}
			}
		})
	}
}

// Once a service is there, what the machine says of datagrams is for their clients.
func TestRefusalAfterTheQuestion(t *testing.T) {
	h := asking(t, false)
	hold := h.View().targets[nasMAC].hold
	hold.Admit(machine.Service{Addr: nas4, Port: game}, func([]byte, lan.Checksum) error { return nil })
	for range 2 { // also after the machine's entry was corrected
		h.forwarded = nil
		h.Handle(unreachable())
		if !slices.Equal(h.forwarded, []ether.MAC{clientMAC}) {
			t.Errorf("sent on to %v", h.forwarded)
		}
		hold.Undivert()
	}
	hold.Close()
	h.Handle(unreachable())
	if len(h.forwarded) > 1 {
		t.Error("sent on for a machine that is awake")
	}
}

// What our own host sends to check a service is never held, and wakes nothing. Only a
// machine that arrives gets it.
func TestChecksOfOurOwnPass(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*lan.Packet)
		mode   func(*handover.Hold)
		knocks bool
		to     []ether.MAC
	}{
		{"arriving", nil, (*handover.Hold).HoldUnready, false, []ether.MAC{nasMAC}},
		{"asleep", nil, (*handover.Hold).HoldAll, false, nil},
		{"awake", nil, (*handover.Hold).Close, false, nil},
		{"a program of ours", func(p *lan.Packet) { p.FromPort = 40000 }, (*handover.Hold).HoldUnready, true, nil},
		{"another host", func(p *lan.Packet) { p.Src = clientMAC }, (*handover.Hold).HoldUnready, true, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t, 8, nas())
			c.mode(h.View().targets[nasMAC].hold)
			p := lantest.Segment(lantest.PorterMAC, porter4, nas4, ssh.Number, lantest.SYN)
			p.FromPort, p.Frame = lan.ProbePort(7), []byte("syn")
			if c.change != nil {
				c.change(p)
			}
			h.HandleOutgoing(p)
			if diff := cmp.Diff(c.to, h.forwarded); diff != "" {
				t.Errorf("sent on (-want +got):\n%s", diff)
			}
			if got := len(h.seen()) > 0; got != c.knocks {
				t.Errorf("a knock: %t, want %t", got, c.knocks)
			}
		})
	}
}

// A service narrows who may wake it, and has its own word about established
// connections.
func TestServiceHasItsOwnRules(t *testing.T) {
	yes, no := true, false
	data := lantest.Segment(clientMAC, client4, nas4, ssh.Number, lantest.ACK)
	data.Payload = 5
	for _, c := range []struct {
		name        string
		own         machine.Settings
		established bool
		p           *lan.Packet
		want        bool
	}{
		{"any client", machine.Settings{}, false, syn(nas4, 22), true},
		{"of its network", machine.Settings{WakeFrom: []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24")}}, false, syn(nas4, 22), true},
		{"of another network", machine.Settings{WakeFrom: []netip.Prefix{netip.MustParsePrefix("10.78.0.0/24")}}, false, syn(nas4, 22), false},
		{"data", machine.Settings{}, false, data, false},
		{"data, and it counts", machine.Settings{}, true, data, true},
		{"data, and it counts here", machine.Settings{Established: &yes}, false, data, true},
		{"data, and it does not count here", machine.Settings{Established: &no}, true, data, false},
		{"a SYN counts anyway", machine.Settings{Established: &no}, true, syn(nas4, 22), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec := nas()
			spec.Monitor[0].Set([]machine.Port{ssh}, c.own)
			h := newFixture(t, 8, spec)
			h.View().rules.Established = c.established
			p := *c.p
			p.Frame = []byte("frame")
			h.Handle(&p)
			if got := len(h.seen()) > 0; got != c.want {
				t.Errorf("a knock: %t, want %t", got, c.want)
			}
		})
	}
}
