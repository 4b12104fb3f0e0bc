package registration_test

import (
	"net/netip"
	"testing"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

// movingNetwork has the kernel learn of another MAC while the LAN is asked.
type movingNetwork struct {
	*fakeNetwork
	looks int
}

func (n *movingNetwork) NeighborMAC(ip netip.Addr) (ether.MAC, bool, error) {
	n.looks++
	if n.looks > 1 {
		return otherMAC, true, nil
	}
	return n.fakeNetwork.NeighborMAC(ip)
}

// Each sign alone that the peer is not the machine refuses its registration.
func TestProof(t *testing.T) {
	const rule = "a machine may register only itself (trust: self)"
	other := "this connection comes from aa:00:00:00:00:02, not from d8:cb:8a:39:be:a1: " + rule
	far := netip.MustParseAddr("192.168.1.77") // not among the addresses that are registered
	for _, tt := range []struct {
		name   string
		peer   netip.Addr
		change func(*registration.Peer, *fakeNetwork)
		want   string
	}{
		{"nothing", towerIP4, func(*registration.Peer, *fakeNetwork) {}, ""},
		{"its frame opened the connection", towerIP4, func(p *registration.Peer, _ *fakeNetwork) { p.SYN = towerMAC }, ""},
		{"another opened the connection", towerIP4, func(p *registration.Peer, _ *fakeNetwork) { p.SYN = otherMAC }, other},
		{"the frame was not kept", towerIP4, func(p *registration.Peer, _ *fakeNetwork) { p.Unseen = true },
			"the frame that opened this connection is not known, " + rule + ", try again"},
		{"the kernel knows another", towerIP4, func(_ *registration.Peer, n *fakeNetwork) { n.neighbors[towerIP4] = otherMAC }, other},
		{"itself answers at another address", far, func(_ *registration.Peer, n *fakeNetwork) {
			n.neighbors[far], n.answers[far] = towerMAC, []ether.MAC{towerMAC}
		}, ""},
		{"another answers at another address", far, func(_ *registration.Peer, n *fakeNetwork) {
			n.neighbors[far], n.answers[far] = towerMAC, []ether.MAC{otherMAC}
		}, other},
		{"another answers as well", far, func(_ *registration.Peer, n *fakeNetwork) {
			n.neighbors[far], n.answers[far] = towerMAC, []ether.MAC{towerMAC, otherMAC}
		}, other},
		{"none answers", far, func(_ *registration.Peer, n *fakeNetwork) { n.neighbors[far] = towerMAC },
			"no host answers for 192.168.1.77, where this connection comes from, " + rule + ", try again"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, peer := newNetwork(), from(tt.peer.String())
			tt.change(&peer, n)
			_, err := registration.Policy{}.Check(t.Context(), request(towerMAC, "192.168.1.5"), peer, n)
			if got := refusal(t, err); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			itself, err := registration.Policy{Trust: registration.Open}.FromItself(t.Context(), request(towerMAC, "192.168.1.5"), peer, n)
			if itself != (tt.want == "") || err != nil {
				t.Errorf("itself: %t, %v", itself, err)
			}
		})
	}
	t.Run("the kernel learns of another meanwhile", func(t *testing.T) {
		_, err := registration.Policy{}.Check(t.Context(), request(towerMAC, "192.168.1.5"), from("192.168.1.5"), &movingNetwork{fakeNetwork: newNetwork()})
		if got := refusal(t, err); got != other {
			t.Errorf("got  %s\nwant %s", got, other)
		}
	})
}

// A machine with a token of its own has to show that, and no other.
func TestTokenOfAMachine(t *testing.T) {
	for _, porters := range []string{"", "the porter's"} {
		p := registration.Policy{Trust: registration.Open, Token: porters}
		for token, want := range map[string]string{
			"":             "token: missing: expected the one that d8:cb:8a:39:be:a1 registered with or has in the configuration",
			"the porter's": "token: not the one that d8:cb:8a:39:be:a1 registered with or has in the configuration",
			"its own":      "",
		} {
			r := request(towerMAC, "192.168.1.5")
			r.RequiredSecret, r.Token = machine.SecretOf("its own"), token
			_, err := p.Check(t.Context(), r, from("192.168.1.5"), newNetwork())
			if got := refusal(t, err); got != want {
				t.Errorf("token %q: got %q, want %q", token, got, want)
			}
		}
	}
	learn := func(p registration.Policy, known machine.Secret, token string, itself bool) machine.Secret {
		r := request(towerMAC)
		r.Secret, r.RequiredSecret, r.Token = known, known, token
		return p.Learn(r, itself)
	}
	free, asked, own := registration.Policy{}, registration.Policy{Token: "the porter's"}, machine.SecretOf("its own")
	for name, tt := range map[string]struct{ got, want machine.Secret }{
		"the first":                  {learn(free, machine.Secret{}, "its own", true), own},
		"of another":                 {learn(free, machine.Secret{}, "its own", false), machine.Secret{}},
		"none":                       {learn(free, machine.Secret{}, "", true), machine.Secret{}},
		"the porter's":               {learn(asked, machine.Secret{}, "the porter's", true), machine.Secret{}},
		"what it has":                {learn(free, own, "its own", true), own},
		"what it has, of the porter": {learn(asked, own, "its own", false), own},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: learnt %x, want %x", name, tt.got, tt.want)
		}
	}
}
