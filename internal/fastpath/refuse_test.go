package fastpath

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
)

var (
	second4 = netip.MustParseAddr("10.77.0.21") // of nas
	far4    = netip.MustParseAddr("192.0.2.7")  // of the porter's host, on another interface
)

// guarded is a reader that watches machines, one of them with two addresses of a family
// and a guest, on a network that it knows.
func guarded(t *testing.T) *fixture {
	spec := host()
	spec.Monitor = append(spec.Monitor, machine.Address{IP: second4, Ports: []machine.Port{ssh, ping}})
	h := newFixture(t, 8, spec, tv())
	h.SetSurroundings(Surroundings{
		Own:     map[netip.Addr]bool{porter4: true, porter6: true, far4: true},
		Network: lan.Network{Prefixes: []netip.Prefix{netip.PrefixFrom(porter4, 24), netip.PrefixFrom(porter6, 64)}},
	})
	return h
}

// from is a packet for an address of nas.
func from(src ether.MAC, ip netip.Addr, kind lan.Kind) *lan.Packet {
	to := nas4
	if ip.Is6() {
		to = nas6
	}
	if kind == lan.TCP {
		return lantest.Segment(src, ip, to, ssh.Number, lantest.SYN)
	}
	return lantest.IP(kind, src, ip, to)
}

// TestAttackImpossibleSources: a host sends SYNs and pings for a machine from addresses
// that no client can have. They must not wake it, and are neither kept nor sent on, asleep
// or awake.
func TestAttackImpossibleSources(t *testing.T) {
	for name, c := range map[string]struct {
		src    ether.MAC
		ip     string
		reason lan.Refusal
	}{
		"the address itself":               {intruderMAC, "10.77.0.20", lan.OwnSource},
		"the address itself, IPv6":         {intruderMAC, "fd77::20", lan.OwnSource},
		"another address of the machine":   {intruderMAC, "10.77.0.21", lan.OwnSource},
		"the porter":                       {intruderMAC, "10.77.0.2", lan.OwnSource},
		"the porter, IPv6":                 {intruderMAC, "fe80::2", lan.OwnSource},
		"the porter on another interface":  {intruderMAC, "192.0.2.7", lan.OwnSource},
		"the porter's MAC":                 {lantest.PorterMAC, "10.77.0.10", lan.OwnSource},
		"the directed broadcast":           {intruderMAC, "10.77.0.255", lan.BadSource},
		"the network":                      {intruderMAC, "10.77.0.0", lan.BadSource},
		"the limited broadcast":            {intruderMAC, "255.255.255.255", lan.BadSource},
		"multicast":                        {intruderMAC, "224.0.0.1", lan.BadSource},
		"loopback, IPv6":                   {intruderMAC, "::1", lan.BadSource},
		"a multicast address of all nodes": {intruderMAC, "ff02::1", lan.BadSource},
	} {
		t.Run(name, func(t *testing.T) {
			h := guarded(t)
			hold := h.View().targets[nasMAC].hold
			for i, mode := range []func(){hold.HoldAll, hold.HoldUnready, func() { hold.Open(nil) }} {
				mode()
				for _, kind := range []lan.Kind{lan.TCP, lan.EchoRequest} {
					h.Handle(from(c.src, netip.MustParseAddr(c.ip), kind))
				}
				if got := h.Refused()[c.reason]; got != uint64(2*(i+1)) {
					t.Errorf("refused %d times as %v, want %d", got, c.reason, 2*(i+1))
				}
			}
			if got := h.seen(); got != nil || len(h.forwarded) > 0 || hold.Counts() != (machine.Packets{}) {
				t.Errorf("reported %q, sent on %d, kept %+v", got, len(h.forwarded), hold.Counts())
			}
		})
	}
}

// What looks like these and is none of them wakes: a guest has an address of its own, an
// address that was left to another host is that host's, one behind a repeater has the
// repeater's MAC, and our own programs are seen on their way out.
func TestPossibleSources(t *testing.T) {
	for name, c := range map[string]struct {
		src    ether.MAC
		ip     netip.Addr
		handle func(*fixture, *lan.Packet)
	}{
		"a guest that moved":               {intruderMAC, guest4, nil},
		"another machine, by a repeater":   {intruderMAC, tv4, nil},
		"a conceded address":               {intruderMAC, second4, func(h *fixture, p *lan.Packet) { h.View().targets[nasMAC].Concede(second4, true); h.Handle(p) }},
		"a program of ours":                {lantest.PorterMAC, porter4, (*fixture).HandleOutgoing},
		"a program of ours, other address": {lantest.PorterMAC, far4, (*fixture).HandleOutgoing},
		"the broadcast of another network": {intruderMAC, netip.MustParseAddr("10.78.0.255"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := guarded(t)
			p := from(c.src, c.ip, lan.TCP)
			if c.handle == nil {
				c.handle = (*fixture).Handle
			}
			c.handle(h, p)
			want := []string{"nas knock 10.77.0.20:22/tcp from " + netip.AddrPortFrom(c.ip, lantest.ClientPort).String()}
			if diff := cmp.Diff(want, h.seen()); diff != "" {
				t.Errorf("sightings (-want +got):\n%s", diff)
			}
		})
	}
}

// BenchmarkKnockOnTheWire is BenchmarkKnock with a whole packet, on a network that is known.
func BenchmarkKnockOnTheWire(b *testing.B) {
	h, spec := benchFixture(b)
	h.SetSurroundings(Surroundings{
		Own:     map[netip.Addr]bool{porter4: true, porter6: true, far4: true},
		Network: lan.Network{Prefixes: []netip.Prefix{netip.PrefixFrom(porter4, 24), netip.PrefixFrom(porter6, 64)}},
	})
	to := netip.AddrPortFrom(spec.Monitor[0].IP, game.Number)
	p := lantest.Datagram(clientMAC, lantest.PorterMAC, netip.AddrPortFrom(client4, lantest.ClientPort), to, "knock")
	hold := h.View().targets[spec.MAC].hold
	for b.Loop() {
		h.Handle(p)
		s := <-h.queue
		s.Taken()
	}
	if hold.Counts().Held == 0 {
		b.Error("nothing was held")
	}
}
