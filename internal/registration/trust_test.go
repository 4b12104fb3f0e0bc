package registration_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
	"nightporter/internal/registration"
)

// fakeNetwork is 192.168.1.0/24 and fd00::/64 with a porter at .1 (and ::1 of
// the latter), a gateway at .254 and fe80::fe, and some machines.
type fakeNetwork struct {
	answers   map[netip.Addr][]ether.MAC
	neighbors map[netip.Addr]ether.MAC
	broken    error
	delay     time.Duration            // of Resolve
	since     map[netip.Addr]time.Time // from when on the address is answered for
	askable   bool                     // the porter has a link-local address, to ask from
	mu        sync.Mutex               // of asked
	asked     map[netip.Addr]int
}

var (
	porterMAC  = ether.MAC{0xb8, 0x27, 0xeb, 0, 0, 1}
	otherMAC   = ether.MAC{0xaa, 0, 0, 0, 0, 2}
	gatewayMAC = ether.MAC{0xaa, 0, 0, 0, 0, 0xfe}

	towerIP4 = netip.MustParseAddr("192.168.1.5")
	towerIP6 = netip.MustParseAddr("fd00::5")
	prefixes = []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24"), netip.MustParsePrefix("fd00::/64"), netip.MustParsePrefix("fe80::/64")}
)

func newNetwork() *fakeNetwork {
	return &fakeNetwork{
		answers:   map[netip.Addr][]ether.MAC{towerIP4: {towerMAC}, towerIP6: {towerMAC, towerMAC}, netip.MustParseAddr("fe80::5"): {towerMAC}},
		neighbors: map[netip.Addr]ether.MAC{towerIP4: towerMAC, netip.MustParseAddr("fe80::5"): towerMAC},
		since:     make(map[netip.Addr]time.Time),
		asked:     make(map[netip.Addr]int),
	}
}

func (n *fakeNetwork) is(ip netip.Addr, list ...string) bool {
	return slices.Contains(list, ip.String())
}
func (n *fakeNetwork) Own(ip netip.Addr) bool {
	return n.is(ip, "192.168.1.1", "fd00::1", "10.9.9.9") // the last is of another interface
}
func (n *fakeNetwork) Gateway(ip netip.Addr) bool    { return n.is(ip, "192.168.1.254", "fe80::fe") }
func (n *fakeNetwork) Anycast(ip netip.Addr) bool    { return n.is(ip, "fd00::fdff:ffff:ffff:ff80") }
func (n *fakeNetwork) GatewayMAC(mac ether.MAC) bool { return mac == gatewayMAC }
func (n *fakeNetwork) Broadcast(ip netip.Addr) bool {
	return n.is(ip, "192.168.1.255", "192.168.1.0", "fd00::")
}
func (n *fakeNetwork) OnLink(ip netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(ip) })
}
func (n *fakeNetwork) CanResolve(ip netip.Addr) bool {
	return n.OnLink(ip) || n.askable && ip.Is6()
}
func (n *fakeNetwork) OwnMAC(mac ether.MAC) bool { return mac == porterMAC }

func (n *fakeNetwork) NeighborMAC(ip netip.Addr) (ether.MAC, bool, error) {
	mac, ok := n.neighbors[ip]
	return mac, ok, n.broken
}

func (n *fakeNetwork) Resolve(ctx context.Context, ip netip.Addr) ([]ether.MAC, error) {
	n.mu.Lock()
	n.asked[ip]++
	n.mu.Unlock()
	select {
	case <-time.After(n.delay):
		if time.Now().Before(n.since[ip]) {
			return nil, n.broken
		}
		return n.answers[ip], n.broken
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// from is a peer that has opened its connection with the MAC of tower, as far as that is
// known.
func from(ip string) registration.Peer {
	return registration.Peer{Addr: netip.AddrPortFrom(netip.MustParseAddr(ip), 50000)}
}

// request registers addresses of a machine.
func request(mac ether.MAC, ips ...string) registration.Request {
	r := registration.Request{Spec: machine.Spec{MAC: mac}, HasMonitor: len(ips) > 0}
	for _, ip := range ips {
		r.Monitor = append(r.Monitor, machine.Address{IP: netip.MustParseAddr(ip)})
	}
	return r
}

// refusal returns the text of a refusal, "" for none.
func refusal(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var r *registration.Refusal
	if !errors.As(err, &r) {
		t.Fatalf("%v is no refusal", err)
	}
	if r.Outcome != registration.Refused {
		t.Errorf("%v is counted as %v", err, r.Outcome)
	}
	return r.Text
}

func TestNeverClaimed(t *testing.T) {
	tests := []struct{ ip, what string }{
		{"0.0.0.0", "the unspecified address"},
		{"::", "the unspecified address"},
		{"127.0.0.1", "a loopback address"},
		{"::1", "a loopback address"},
		{"224.0.0.251", "a multicast address"},
		{"ff02::fb", "a multicast address"},
		{"255.255.255.255", "the broadcast address"},
		{"192.168.1.1", "an address of the porter's own host"},
		{"10.9.9.9", "an address of the porter's own host"},
		{"fd00::1", "an address of the porter's own host"},
		{"192.168.1.254", "a gateway's address"},
		{"fe80::fe", "a gateway's address"},
		{"192.168.1.255", "a broadcast or network address"},
		{"192.168.1.0", "a broadcast or network address"},
		{"fd00::", "a broadcast or network address"},
		{"fd00::fdff:ffff:ffff:ff80", "an anycast address"},
	}
	for _, trust := range []registration.Trust{registration.Self, registration.Allowlist, registration.Open} {
		p := registration.Policy{Trust: trust, Allow: []ether.MAC{towerMAC, porterMAC}}
		for _, tt := range tests {
			t.Run(trust.String()+" "+tt.ip, func(t *testing.T) {
				n := newNetwork()
				n.answers[netip.MustParseAddr(tt.ip)] = []ether.MAC{towerMAC} // it even answers for it
				_, err := p.Check(t.Context(), request(towerMAC, towerIP4.String(), tt.ip), from("192.168.1.5"), n)
				want := "monitor[1].ip: found " + tt.ip + ", " + tt.what + ": expected an address of the machine"
				if got := refusal(t, err); got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			})
		}
		t.Run(trust.String()+" own MAC", func(t *testing.T) {
			_, err := p.Check(t.Context(), request(porterMAC, towerIP4.String()), from("192.168.1.5"), newNetwork())
			const want = "mac: found b8:27:eb:00:00:01, an interface of the porter's own host: register on the machine that sleeps, not on the porter"
			if got := refusal(t, err); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestTrust(t *testing.T) {
	const only = "a machine may register only itself (trust: self)"
	self := registration.Policy{Trust: registration.Self}
	allow := registration.Policy{Trust: registration.Allowlist, Allow: []ether.MAC{otherMAC, towerMAC}}
	open := registration.Policy{Trust: registration.Open}
	tests := []struct {
		name   string
		policy registration.Policy
		req    registration.Request
		peer   string
		change func(*fakeNetwork)
		want   string
	}{
		{name: "itself", policy: self, req: request(towerMAC, "192.168.1.5", "fd00::5"), peer: "192.168.1.5"},
		{name: "itself, no addresses", policy: self, req: request(towerMAC), peer: "192.168.1.5"},
		{name: "itself, mapped peer", policy: self, req: request(towerMAC, "192.168.1.5"), peer: "::ffff:192.168.1.5"},
		{name: "itself, link-local peer", policy: self, req: request(towerMAC, "fd00::5"), peer: "fe80::5%eth0"},
		{name: "another's MAC", policy: self, req: request(otherMAC, "192.168.1.6"), peer: "192.168.1.5",
			want: "this connection comes from d8:cb:8a:39:be:a1, not from aa:00:00:00:00:02: " + only},
		{name: "another's MAC, no addresses", policy: self, req: request(otherMAC), peer: "192.168.1.5",
			want: "this connection comes from d8:cb:8a:39:be:a1, not from aa:00:00:00:00:02: " + only},
		{name: "another's address", policy: self, req: request(towerMAC, "192.168.1.5", "192.168.1.6"), peer: "192.168.1.5",
			change: func(n *fakeNetwork) {
				n.answers[netip.MustParseAddr("192.168.1.6")] = []ether.MAC{otherMAC}
			},
			want: "monitor[1].ip: aa:00:00:00:00:02 answers for 192.168.1.6: expected d8:cb:8a:39:be:a1 alone (trust: self); if that is a second card of the machine, set its sysctl net.ipv4.conf.all.arp_ignore=1"},
		{name: "an address in dispute", policy: self, req: request(towerMAC, "192.168.1.5"), peer: "192.168.1.5",
			change: func(n *fakeNetwork) { n.answers[towerIP4] = []ether.MAC{towerMAC, otherMAC} },
			want:   "monitor[0].ip: aa:00:00:00:00:02 answers for 192.168.1.5: expected d8:cb:8a:39:be:a1 alone (trust: self); if that is a second card of the machine, set its sysctl net.ipv4.conf.all.arp_ignore=1"},
		{name: "the first mistake is reported", policy: self, req: request(towerMAC, "192.168.1.8", "192.168.1.6", "192.168.1.7"), peer: "192.168.1.5",
			change: func(n *fakeNetwork) {
				n.answers[netip.MustParseAddr("192.168.1.6")] = []ether.MAC{otherMAC}
				n.answers[netip.MustParseAddr("192.168.1.7")] = []ether.MAC{otherMAC}
			},
			want: "monitor[1].ip: aa:00:00:00:00:02 answers for 192.168.1.6: expected d8:cb:8a:39:be:a1 alone (trust: self); if that is a second card of the machine, set its sysctl net.ipv4.conf.all.arp_ignore=1"},
		{name: "the porter's own host", policy: self, req: request(towerMAC, "192.168.1.5"), peer: "192.168.1.1",
			want: "this connection comes from the porter's own host, " + only},
		{name: "loopback", policy: self, req: request(towerMAC, "192.168.1.5"), peer: "::1",
			want: "this connection comes from the porter's own host, " + only},
		{name: "mapped loopback", policy: self, req: request(towerMAC, "192.168.1.5"), peer: "::ffff:127.0.0.1",
			want: "this connection comes from the porter's own host, " + only},
		{name: "through a router", policy: self, req: request(towerMAC, "192.168.1.5"), peer: "10.0.0.5",
			want: "this connection comes from 10.0.0.5, which is not in a network of the porter's interface, " + only},
		{name: "not in the neighbor table", policy: self, req: request(towerMAC, "192.168.1.5"), peer: "192.168.1.77",
			want: "the MAC address of 192.168.1.77 is not known here, " + only + ", try again"},
		{name: "allowed, asleep, from afar", policy: allow, req: request(towerMAC, "192.168.1.99"), peer: "10.0.0.5"},
		{name: "not allowed", policy: allow, req: request(ether.MAC{2}, "192.168.1.99"), peer: "192.168.1.5",
			want: "mac: 02:00:00:00:00:00 is not in registration.allow (trust: allowlist)"},
		{name: "open, from the porter itself", policy: open, req: request(otherMAC, "192.168.1.99"), peer: "127.0.0.1"},
		{name: "the zero policy is the strictest", req: request(otherMAC, "192.168.1.5"), peer: "192.168.1.5",
			want: "this connection comes from d8:cb:8a:39:be:a1, not from aa:00:00:00:00:02: " + only},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork()
				if tt.change != nil {
					tt.change(n)
				}
				v, err := tt.policy.Check(t.Context(), tt.req, from(tt.peer), n)
				if got := refusal(t, err); got != tt.want {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
				if len(v.Waiting()) > 0 {
					t.Errorf("waiting: %v", v.Waiting())
				}
			})
		})
	}
}

func TestToken(t *testing.T) {
	for _, trust := range []registration.Trust{registration.Self, registration.Allowlist, registration.Open} {
		p := registration.Policy{Trust: trust, Allow: []ether.MAC{towerMAC}, Token: "s3cret"}
		for token, want := range map[string]string{
			"":        "token: missing: expected the one that this porter requires",
			"s3cre":   "token: not the one that this porter requires",
			"s3cret ": "token: not the one that this porter requires",
			"s3cret":  "",
		} {
			r := request(towerMAC, towerIP4.String())
			r.Token = token
			_, err := p.Check(t.Context(), r, from("192.168.1.5"), newNetwork())
			if got := refusal(t, err); got != want {
				t.Errorf("%v, token %q: got %q, want %q", trust, token, got, want)
			}
		}
		p.Token = ""
		r := request(towerMAC, towerIP4.String())
		r.Token = "not asked for"
		if _, err := p.Check(t.Context(), r, from("192.168.1.5"), newNetwork()); err != nil {
			t.Errorf("%v: %v", trust, err)
		}
	}
}

func TestCheckAsksAllAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		n.delay = time.Second
		r := request(towerMAC)
		for i := range 16 {
			ip := netip.MustParseAddr(fmt.Sprintf("192.168.1.%d", 100+i))
			n.answers[ip] = []ether.MAC{towerMAC}
			r.Monitor = append(r.Monitor, machine.Address{IP: ip})
		}
		begun := time.Now()
		if _, err := (registration.Policy{}).Check(t.Context(), r, from("192.168.1.5"), n); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took != n.delay {
			t.Errorf("took %v, want %v", took, n.delay)
		}
	})
}

func TestCheckFailures(t *testing.T) {
	n := newNetwork()
	n.broken = errors.New("netlink: broken")
	_, err := registration.Policy{}.Check(t.Context(), request(towerMAC, "192.168.1.5"), from("192.168.1.5"), n)
	if want := "look up 192.168.1.5 in the neighbor table: netlink: broken"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n = newNetwork()
	n.delay = patience
	_, err = registration.Policy{}.Check(ctx, request(towerMAC, "192.168.1.5"), from("192.168.1.5"), n)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := (registration.Policy{Trust: 9}).Check(t.Context(), request(towerMAC), from("192.168.1.5"), newNetwork()); err == nil {
		t.Error("an unknown trust accepts a registration")
	}
}

func TestParseTrust(t *testing.T) {
	for _, want := range []registration.Trust{registration.Self, registration.Allowlist, registration.Open} {
		if got, err := registration.ParseTrust(want.String()); got != want || err != nil {
			t.Errorf("%v: got %v, %v", want, got, err)
		}
	}
	if _, err := registration.ParseTrust("Self"); err == nil || err.Error() != `found "Self": expected self, allowlist or open` {
		t.Errorf("got %v", err)
	}
}
