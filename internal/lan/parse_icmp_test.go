package lan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

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
		{"icmp, about somebody else's datagram", unreachable4(stranger), plain4},
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
		{"icmpv6, about somebody else's datagram", unreachable6(packet6(sleepy6, client6, 17, 64, udp(1))), plain6},
		{"icmpv6, another code", with(unreachable6(lost6()), 55, 3), plain6},
		{"icmpv6, another type", with(unreachable6(lost6()), 54, 3), plain6},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, view(t, c.frame), comparable); diff != "" {
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
