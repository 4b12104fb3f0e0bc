package registration_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/registration"
)

var (
	slaac     = netip.MustParseAddr("2001:db8::5") // in no prefix of the porter's
	elsewhere = netip.MustParseAddr("10.0.0.5")
)

// TestPlaces: each address has a verdict of its own, and one that has to wait
// does not spoil the others.
func TestPlaces(t *testing.T) {
	const (
		self, allow, open = registration.Self, registration.Allowlist, registration.Open
		here              = registration.Reason("")
		only              = "(trust: self), try again"
	)
	answered := func(ip netip.Addr, macs ...ether.MAC) func(*fakeNetwork) {
		return func(n *fakeNetwork) { n.askable, n.answers[ip] = true, macs }
	}
	for _, tt := range []struct {
		name   string
		trusts []registration.Trust
		ips    string
		change func(*fakeNetwork)
		want   []registration.Reason // for each address; nil: refused
		text   string                // of the refusal
	}{
		{name: "all answered for", trusts: []registration.Trust{self}, ips: "192.168.1.5 fd00::5", want: []registration.Reason{here, here}},
		{name: "one silent", trusts: []registration.Trust{self}, ips: "192.168.1.5 fd00::7", want: []registration.Reason{here, registration.NoAnswer}},
		{name: "one in no network", trusts: []registration.Trust{self, allow, open}, ips: "10.0.0.5 192.168.1.5 2001:db8::5",
			want: []registration.Reason{registration.NoNetwork, here, registration.NoNetwork}},
		{name: "silent, but no proof is asked for", trusts: []registration.Trust{allow, open}, ips: "192.168.1.8", want: []registration.Reason{here}},
		{name: "in no prefix, but on the link", trusts: []registration.Trust{self, allow, open}, ips: "192.168.1.5 2001:db8::5",
			change: answered(slaac, towerMAC), want: []registration.Reason{here, here}},
		{name: "in no prefix, and alone", trusts: []registration.Trust{self, allow, open}, ips: "2001:db8::5",
			change: answered(slaac, towerMAC), want: []registration.Reason{here}},
		{name: "in no prefix, and silent", trusts: []registration.Trust{self, allow, open}, ips: "192.168.1.5 2001:db8::5",
			change: answered(slaac), want: []registration.Reason{here, registration.NotFound}},
		{name: "in no prefix, and another's", trusts: []registration.Trust{self, allow, open}, ips: "192.168.1.5 2001:db8::5",
			change: answered(slaac, otherMAC), text: "monitor[1].ip: aa:00:00:00:00:02 answers for 2001:db8::5: expected d8:cb:8a:39:be:a1 alone"},
		{name: "only silent ones", trusts: []registration.Trust{self}, ips: "192.168.1.8 192.168.1.9",
			text: "monitor[0].ip: no host answers for 192.168.1.8: expected d8:cb:8a:39:be:a1 " + only},
		{name: "only one that is nowhere", trusts: []registration.Trust{self, allow, open}, ips: "10.0.0.5",
			text: "monitor[0].ip: found 10.0.0.5, which is not in a network of the porter's interface: expected an address in one"},
		{name: "trying again helps one of them", trusts: []registration.Trust{self}, ips: "10.0.0.5 192.168.1.8",
			text: "monitor[1].ip: no host answers for 192.168.1.8: expected d8:cb:8a:39:be:a1 " + only},
		{name: "only one that is not found", trusts: []registration.Trust{self, allow, open}, ips: "2001:db8::5", change: answered(slaac),
			text: "monitor[0].ip: no host answers for 2001:db8::5, which is not in a network of the porter's interface: expected d8:cb:8a:39:be:a1, try again"},
	} {
		for _, trust := range tt.trusts {
			t.Run(tt.name+", "+trust.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := newNetwork()
					if tt.change != nil {
						tt.change(n)
					}
					p := registration.Policy{Trust: trust, Allow: []ether.MAC{towerMAC}}
					req := request(towerMAC, strings.Fields(tt.ips)...)
					v, err := p.Check(t.Context(), req, from("192.168.1.5"), n)
					if got := refusal(t, err); !strings.HasPrefix(got, tt.text) || got != "" && tt.text == "" {
						t.Errorf("got  %s\nwant %s", got, tt.text)
					}
					var want []registration.Place
					for i, reason := range tt.want {
						// What the trust asks a proof for has none yet.
						want = append(want, registration.Place{
							IP: req.Monitor[i].IP, Waiting: reason, Unproved: reason != here && trust == self,
						})
					}
					if !slices.Equal(v.Places, want) {
						t.Errorf("got  %+v\nwant %+v", v.Places, want)
					}
				})
			})
		}
	}
}

// TestWaiting returns the addresses that are not to be claimed yet.
func TestWaiting(t *testing.T) {
	v := registration.Verdict{Places: []registration.Place{{IP: towerIP4}, {IP: elsewhere, Waiting: registration.NoNetwork}, {IP: towerIP6}}}
	if got := v.Waiting(); len(got) != 1 || got[0].IP != elsewhere {
		t.Errorf("got %+v", got)
	}
}

// TestSilenceIsAskedAgain: an address may be under test, or its machine may have
// been busy. What was answered is not asked about again meanwhile.
func TestSilenceIsAskedAgain(t *testing.T) {
	for _, tt := range []struct {
		delay, late time.Duration
		reason      registration.Reason
	}{
		{delay: 900 * time.Millisecond, late: 1500 * time.Millisecond},
		{delay: 900 * time.Millisecond, late: 3 * time.Second, reason: registration.NoAnswer},
		{delay: 0, late: 2 * time.Second}, // one that gives up at once
		{delay: 0, late: 4 * time.Second, reason: registration.NoAnswer},
	} {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork()
				n.delay = tt.delay
				begun := time.Now()
				n.since[towerIP6] = begun.Add(tt.late)
				v, err := (registration.Policy{}).Check(t.Context(), request(towerMAC, "192.168.1.5", "fd00::5"), from("192.168.1.5"), n)
				if err != nil || v.Places[0].Waiting != "" || v.Places[1].Waiting != tt.reason {
					t.Errorf("got %+v, %v", v, err)
				}
				if took := time.Since(begun); took > 3*time.Second {
					t.Errorf("took %v: the client waits", took)
				}
				if n.asked[towerIP4] != 1 || n.asked[towerIP6] < 2 || n.asked[towerIP6] > 10 {
					t.Errorf("asked %v", n.asked)
				}
			})
		})
	}
}

// TestPeerInNoPrefix: where the porter has a link-local address only, the answer
// of the machine tells that the connection comes from it.
func TestPeerInNoPrefix(t *testing.T) {
	const rule = "a machine may register only itself (trust: self)"
	for _, tt := range []struct {
		name    string
		askable bool
		answers []ether.MAC
		want    string
	}{
		{"itself", true, []ether.MAC{towerMAC}, ""},
		{"another", true, []ether.MAC{otherMAC}, "this connection comes from aa:00:00:00:00:02, not from d8:cb:8a:39:be:a1: " + rule},
		{"in dispute", true, []ether.MAC{towerMAC, otherMAC}, "this connection comes from aa:00:00:00:00:02, not from d8:cb:8a:39:be:a1: " + rule},
		{"behind a router", true, nil, "this connection comes from 2001:db8::5, which is not in a network of the porter's interface, " + rule},
		{"not to be asked", false, []ether.MAC{towerMAC}, "this connection comes from 2001:db8::5, which is not in a network of the porter's interface, " + rule},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNetwork()
			n.askable, n.answers[slaac] = tt.askable, tt.answers
			_, err := (registration.Policy{}).Check(t.Context(), request(towerMAC, "192.168.1.5"), registration.Peer{Addr: netip.AddrPortFrom(slaac, 50000)}, n)
			if got := refusal(t, err); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestForbidden is of the address alone: where it is does not matter.
func TestForbidden(t *testing.T) {
	for ip, want := range map[string]string{
		"192.168.1.5": "", "10.0.0.5": "", "2001:db8::5": "",
		"192.168.1.254": "a gateway's address", "192.168.1.1": "an address of the porter's own host", "ff02::1": "a multicast address",
	} {
		if got := registration.Forbidden(netip.MustParseAddr(ip), newNetwork()); got != want {
			t.Errorf("%s: got %q, want %q", ip, got, want)
		}
	}
}
