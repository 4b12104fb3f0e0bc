package lan_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
)

func TestParsePortUnreachable(t *testing.T) {
	plain4 := packet(lan.Packet{Kind: lan.IP, From: sleepy4, To: client4, Network: 14})
	plain6 := packet(lan.Packet{Kind: lan.IP, From: sleepy6, To: client6, Network: 14})
	want4, want6 := plain4, plain6
	want4.Kind, want4.Target, want4.FromPort, want4.ToPort, want4.Transport = lan.PortUnreachable, sleepy4, 40000, 53, 34
	want6.Kind, want6.Target, want6.FromPort, want6.ToPort, want6.Transport = lan.PortUnreachable, sleepy6, 40000, 53, 54
	first := want4
	first.Fragment, first.FragmentOf = true, 1
	stranger := with(lost4(), 12, 10, 9, 8, 7)
	for _, c := range []struct {
		name  string
		frame []byte
		want  lan.Packet
	}{
		{"icmp", unreachable4(lost4()), want4},
		{"icmp, as little as there must be", unreachable4(lost4()[:28]), want4},
		{"icmp, no more than the ports", unreachable4(lost4()[:24]), want4},
		{"icmp, about a packet with options", unreachable4(options4(lost4(), 8)[:36]), want4},
		{"icmp, about a first fragment", unreachable4(fragment4(lost4(), 0x2000)), want4},
		{"icmp, in a first fragment", with(unreachable4(lost4()), 20, 0x20, 0), first},
		{"icmp, ports cut off", unreachable4(lost4()[:23]), plain4},
		{"icmp, options cut off", unreachable4(options4(lost4(), 8)[:27]), plain4},
		{"icmp, header cut off", unreachable4(lost4()[:19]), plain4},
		{"icmp, about nothing", unreachable4(nil), plain4},
		{"icmp, about an impossible header", unreachable4(with(lost4(), 0, 0x44)), plain4},
		{"icmp, about another version", unreachable4(with(lost4(), 0, 0x65)), plain4},
		{"icmp, about TCP", unreachable4(packet4(6, tcp(2))), plain4},
		{"icmp, about a later fragment", unreachable4(fragment4(lost4(), 1)), plain4},
		{"icmp, about the datagram of another host", unreachable4(stranger), plain4},
		{"icmp, another code", with(unreachable4(lost4()), 35, 1), plain4},
		{"icmp, another type", with(unreachable4(lost4()), 34, 11), plain4},
		{"icmpv6", unreachable6(lost6()), want6},
		{"icmpv6, no more than the ports", unreachable6(lost6()[:44]), want6},
		{"icmpv6, about an extended packet", unreachable6(extended6(60, extension(17, 16), udp(3))), want6},
		{"icmpv6, ports cut off", unreachable6(lost6()[:43]), plain6},
		{"icmpv6, header cut off", unreachable6(lost6()[:39]), plain6},
		{"icmpv6, about a later fragment", unreachable6(extended6(44, fragment6(17, 8), udp(3))), plain6},
		{"icmpv6, about TCP", unreachable6(extended6(6, tcp(2))), plain6},
		{"icmpv6, about another version", unreachable6(with(lost6(), 0, 0x45)), plain6},
		{"icmpv6, about the datagram of another host", unreachable6(packet6(sleepy6, client6, 17, 64, udp(1))), plain6},
		{"icmpv6, another code", with(unreachable6(lost6()), 55, 3), plain6},
		{"icmpv6, another type", with(unreachable6(lost6()), 54, 3), plain6},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, view(t, c.frame), compareAddr); diff != "" {
				t.Errorf("packet (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFlagsOfAConnection(t *testing.T) {
	const fin, syn, rst, psh, ack, ece = 1, 2, 4, 8, 16, 64
	for _, c := range []struct {
		flags        byte
		payload      string
		synack, data bool
	}{
		{flags: syn | ack, synack: true},
		{flags: syn | ack | ece, synack: true},
		{flags: syn | ack, payload: "x", synack: true}, // TCP Fast Open
		{flags: syn | ack | rst}, {flags: syn | ack | fin}, {flags: syn}, {flags: ack}, {flags: syn, payload: "x"},
		{flags: ack, payload: "x"}, // a keep-alive
		{flags: ack, payload: "xy", data: true},
		{flags: ack | psh, payload: "x", data: true},
		{flags: ack | fin, payload: "x"}, {flags: ack | rst, payload: "x"}, {flags: psh, payload: "x"},
	} {
		for family, frame := range map[string][]byte{
			"IPv4": ethernetFrame(0x0800, packet4(6, data(c.flags, 1, 2, c.payload))...),
			"IPv6": ethernetFrame(0x86dd, extended6(6, data(c.flags, 1, 2, c.payload))...),
		} {
			p := view(t, frame)
			if p.SYNACK() != c.synack || p.Data() != c.data {
				t.Errorf("%s, flags %#02x, payload %q: SYNACK is %v and Data is %v, want %v and %v",
					family, c.flags, c.payload, p.SYNACK(), p.Data(), c.synack, c.data)
			}
		}
	}
	for _, p := range []lan.Packet{{Kind: lan.UDP, Flags: syn | ack}, {Kind: lan.UDP, Flags: ack, Payload: 1}} {
		if p.SYNACK() || p.Data() {
			t.Errorf("%+v passes for TCP", p)
		}
	}
}

func TestParseNeighborDiscovery(t *testing.T) {
	solicitation := packet(lan.Packet{
		Kind: lan.NeighborSolicitation, From: client6, To: group6, Target: sleepy6, SenderMAC: clientMAC,
		Network: 14, Transport: 54,
	})
	advertisement := packet(lan.Packet{
		Kind: lan.NeighborAdvertisement, From: sleepy6, To: client6, Target: sleepy6, SenderMAC: sleepyMAC,
		Solicited: true, Network: 14, Transport: 54,
	})
	bare, unicast, dad, unsolicited, behind := solicitation, solicitation, solicitation, advertisement, solicitation
	bare.SenderMAC = ether.MAC{}
	unicast.SenderMAC, unicast.To = ether.MAC{}, sleepy6
	dad.SenderMAC, dad.From = ether.MAC{}, netip.IPv6Unspecified()
	unsolicited.Solicited, unsolicited.To = false, netip.MustParseAddr("ff02::1")
	behind.Transport += 8
	edit := func(m nd, f func(*nd)) []byte { f(&m); return m.packet(t) }
	extended := edit(question(), func(*nd) {})
	extended = packet6(client6, group6, 60, 255, append(extension(58, 8), extended[40:]...))

	cases := []struct {
		name   string
		packet []byte
		want   lan.Packet
	}{
		{"solicitation", question().packet(t), solicitation},
		{"advertisement", advice().packet(t), advertisement},
		{"a router verifies, without an option", edit(question(), func(m *nd) { m.to, m.options = sleepy6, nil }), unicast},
		{"duplicate address detection", edit(question(), func(m *nd) { m.from, m.options = netip.IPv6Unspecified(), nil }), dad},
		{"duplicate address detection with a nonce (RFC 7527)",
			edit(question(), func(m *nd) { m.from, m.options = netip.IPv6Unspecified(), []byte{14, 1, 1, 2, 3, 4, 5, 6} }), dad},
		{"unsolicited", edit(advice(), func(m *nd) { m.to, m.flags = netip.MustParseAddr("ff02::1"), 0x20 }), unsolicited},
		{"an unknown option first", edit(question(), func(m *nd) { m.options = append(make([]byte, 16), m.options...); m.options[1] = 2 }), solicitation},
		{"the other option only", edit(question(), func(m *nd) { m.options = lla(2, sleepyMAC) }), bare},
		{"an address that is not Ethernet's",
			edit(question(), func(m *nd) { m.options = append([]byte{1, 2}, make([]byte, 14)...) }), bare},
		{"two options: the first counts",
			edit(question(), func(m *nd) { m.options = append(m.options, lla(1, sleepyMAC)...) }), solicitation},
		{"behind an extension header", extended, behind},
		{"padded by the link", append(question().packet(t), 1, 2, 3), solicitation},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, view(t, ethernetFrame(0x86dd, c.packet...)), compareAddr); diff != "" {
				t.Errorf("packet (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNeighborDiscoveryValidation has one case for each rule of RFC 4861,
// sections 7.1.1 and 7.1.2.
func TestNeighborDiscoveryValidation(t *testing.T) {
	unspecified := netip.IPv6Unspecified()
	edit := func(m nd, f func(*nd)) []byte { f(&m); return m.packet(t) }
	whole := question().packet(t)
	fragmented := packet6(client6, group6, 44, 255, append(fragment6(58, 0), whole[40:]...))
	cases := []struct {
		name   string
		packet []byte
	}{
		{"solicitation: hop limit", edit(question(), func(m *nd) { m.hopLimit = 254 })},
		{"solicitation: checksum", with(whole, 42, whole[42]^1)},
		{"solicitation: code", edit(question(), func(m *nd) { m.code = 1 })},
		{"solicitation: length", edit(question(), func(m *nd) { m.short, m.options = true, nil })},
		{"solicitation: multicast target", edit(question(), func(m *nd) { m.target = group6 })},
		{"solicitation: option of length zero", edit(question(), func(m *nd) { m.options = []byte{1, 0, 0, 0, 0, 0, 0, 0} })},
		{"solicitation: option beyond the end", edit(question(), func(m *nd) { m.options = []byte{1, 2, 0, 0, 0, 0, 0, 0} })},
		{"solicitation: option of one octet", edit(question(), func(m *nd) { m.options = []byte{1} })},
		{"solicitation: unspecified source, not to a solicited-node group",
			edit(question(), func(m *nd) { m.from, m.to, m.options = unspecified, sleepy6, nil })},
		{"solicitation: unspecified source with a link-layer address", edit(question(), func(m *nd) { m.from = unspecified })},
		{"advertisement: hop limit", edit(advice(), func(m *nd) { m.hopLimit = 64 })},
		{"advertisement: code", edit(advice(), func(m *nd) { m.code = 1 })},
		{"advertisement: length", edit(advice(), func(m *nd) { m.short, m.options = true, nil })},
		{"advertisement: multicast target", edit(advice(), func(m *nd) { m.target = group6 })},
		{"advertisement: solicited, but to a group", edit(advice(), func(m *nd) { m.to = netip.MustParseAddr("ff02::1") })},
		{"advertisement: option of length zero", edit(advice(), func(m *nd) { m.options = []byte{2, 0, 0, 0, 0, 0, 0, 0} })},
		{"fragmented (RFC 6980)", fragmented},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var p lan.Packet
			if got := p.Parse(ethernetFrame(0x86dd, c.packet...)); got != lan.BadNDP {
				t.Errorf("verdict %v, want bad_ndp", got)
			}
		})
	}
}
