package lan_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
)

// view returns an accepted frame taken apart, to be compared as a whole.
func view(tb testing.TB, frame []byte) lan.Packet {
	tb.Helper()
	var p lan.Packet
	if v := p.Parse(frame); v != lan.Accepted {
		tb.Fatalf("verdict %v, want accepted, for % x", v, frame)
	}
	p.Frame = nil
	return p
}

var compareAddr = cmpopts.EquateComparable(netip.Addr{})

// packet fills in the addresses that most test frames have.
func packet(p lan.Packet) lan.Packet {
	p.Src, p.Dst = clientMAC, porterMAC
	if p.Network != 0 && !p.From.IsValid() {
		p.From, p.To = client4, sleepy4
	}
	return p
}

func in6(p lan.Packet) lan.Packet {
	p.From, p.To, p.Network = client6, sleepy6, 14
	return packet(p)
}

func TestParseAccepts(t *testing.T) {
	syn := lan.Packet{Kind: lan.TCP, FromPort: 40000, ToPort: 22, Flags: 0x02, Network: 14, Transport: 34}
	at := func(p lan.Packet, network, transport int) lan.Packet {
		p.Network, p.Transport = network, transport
		return p
	}
	part := func(p lan.Packet) lan.Packet { // of IPv4
		p.Fragment, p.FragmentID, p.FragmentOf = true, 0x1234, 6
		return p
	}
	of := func(protocol byte, p lan.Packet) lan.Packet {
		p.FragmentOf = protocol
		return p
	}
	part6 := func(p lan.Packet) lan.Packet {
		p.Fragment, p.FragmentID = true, 0x12345678
		return p
	}
	carrying := func(payload int, p lan.Packet) lan.Packet {
		p.Payload = payload
		return p
	}
	numbered := syn
	numbered.Flags, numbered.Seq, numbered.Ack, numbered.Payload = 0x18, 0xfedcba98, 0x01020304, 3
	numbered.Transport = 34
	datagram := lan.Packet{Kind: lan.UDP, FromPort: 40000, ToPort: 53, Network: 14, Transport: 34}
	plainIP := lan.Packet{Kind: lan.IP, Network: 14}
	arp := lan.Packet{From: client4, To: sleepy4, SenderMAC: clientMAC}
	arp.Kind = lan.ARPRequest
	arpReply := arp
	arpReply.Kind = lan.ARPReply
	cases := []struct {
		name  string
		frame []byte
		want  lan.Packet
	}{
		{"other", ethernetFrame(0x88cc, 1, 2, 3), packet(lan.Packet{})},
		{"802.3 length", ethernetFrame(0x0026, 0x42, 0x42, 3), packet(lan.Packet{})},
		{"arp request", ethernetFrame(0x0806, arpBody(1)...), packet(arp)},
		{"arp reply", ethernetFrame(0x0806, arpBody(2)...), packet(arpReply)},
		{"arp, padded", ethernetFrame(0x0806, append(arpBody(1), make([]byte, 18)...)...), packet(arp)},
		{"arp, priority tag", tagged(ethernetFrame(0x0806, arpBody(1)...), 0xe000), packet(arp)},
		{"tcp", ethernetFrame(0x0800, packet4(6, tcp(2))...), packet(syn)},
		{"tcp, data", ethernetFrame(0x0800, append(packet4(6, data(0x18, 0xfedcba98, 0x01020304, "abc")), 0)...), packet(numbered)},
		{"tcp, data after options", ethernetFrame(0x0800, packet4(6, with(data(0x18, 0xfedcba98, 0x01020304, "four and the rest")[:27], 12, 6<<4))...),
			packet(numbered)},
		{"tcp, padded", ethernetFrame(0x0800, append(packet4(6, tcp(2)), 0, 0, 0, 0, 0, 0)...), packet(syn)},
		{"tcp, priority tag", tagged(ethernetFrame(0x0800, packet4(6, tcp(2))...), 0x2000), packet(at(syn, 18, 38))},
		{"tcp, ip options", ethernetFrame(0x0800, options4(packet4(6, tcp(2)), 8)...), packet(at(syn, 14, 42))},
		{"tcp, most ip options", ethernetFrame(0x0800, options4(packet4(6, tcp(2)), 40)...), packet(at(syn, 14, 74))},
		{"tcp, first fragment", ethernetFrame(0x0800, fragment4(packet4(6, tcp(2)), 0x2000)...), packet(part(syn))},
		{"tcp, do not fragment", ethernetFrame(0x0800, fragment4(packet4(6, tcp(2)), 0x4000)...), packet(syn)},
		{"tcp, later fragment", ethernetFrame(0x0800, fragment4(packet4(6, tcp(2)), 0x2001)...), packet(part(plainIP))},
		{"tcp, last fragment", ethernetFrame(0x0800, fragment4(packet4(6, tcp(2)), 0x00b9)...), packet(part(plainIP))},
		{"tcp, header cut off", ethernetFrame(0x0800, packet4(6, tcp(2)[:19])...), packet(plainIP)},
		{"tcp, no header at all", ethernetFrame(0x0800, packet4(6, nil)...), packet(plainIP)},
		{"tcp, header only in the padding", ethernetFrame(0x0800, append(packet4(6, nil), tcp(2)...)...), packet(plainIP)},
		{"tcp, data offset too small", ethernetFrame(0x0800, packet4(6, with(tcp(2), 12, 4<<4))...), packet(plainIP)},
		{"tcp, options cut off", ethernetFrame(0x0800, packet4(6, with(tcp(2), 12, 6<<4))...), packet(plainIP)},
		{"udp", ethernetFrame(0x0800, packet4(17, udp(5))...), packet(carrying(5, datagram))},
		{"udp, less than the packet holds", ethernetFrame(0x0800, packet4(17, with(udp(5), 4, 0, 10))...), packet(carrying(2, datagram))},
		{"udp, empty", ethernetFrame(0x0800, packet4(17, udp(0))...), packet(datagram)},
		{"udp, header cut off", ethernetFrame(0x0800, packet4(17, udp(0)[:7])...), packet(plainIP)},
		{"udp, length too small", ethernetFrame(0x0800, packet4(17, with(udp(5), 4, 0, 7))...), packet(plainIP)},
		{"udp, length too large", ethernetFrame(0x0800, packet4(17, with(udp(5), 4, 0, 14))...), packet(plainIP)},
		{"udp, first fragment", ethernetFrame(0x0800, fragment4(packet4(17, with(udp(5), 4, 9, 0)), 0x2000)...), packet(of(17, part(carrying(5, datagram))))},
		{"echo request", ethernetFrame(0x0800, packet4(1, echo(8))...),
			packet(lan.Packet{Kind: lan.EchoRequest, EchoID: 1, EchoSeq: 2, Network: 14, Transport: 34})},
		{"echo reply", ethernetFrame(0x0800, packet4(1, echo(0))...),
			packet(lan.Packet{Kind: lan.EchoReply, EchoID: 1, EchoSeq: 2, Network: 14, Transport: 34})},
		{"echo reply, bad code", ethernetFrame(0x0800, packet4(1, with(echo(0), 1, 1))...), packet(plainIP)},
		{"echo reply, cut off", ethernetFrame(0x0800, packet4(1, echo(0)[:7])...), packet(plainIP)},
		{"echo reply, first fragment", ethernetFrame(0x0800, fragment4(packet4(1, echo(0)), 0x2000)...),
			packet(of(1, part(lan.Packet{Kind: lan.EchoReply, EchoID: 1, EchoSeq: 2, Network: 14, Transport: 34})))},
		{"later fragment of an unknown protocol", ethernetFrame(0x0800, fragment4(packet4(47, tcp(2)), 0x0003)...), packet(of(47, part(plainIP)))},
		{"echo request, bad code", ethernetFrame(0x0800, packet4(1, with(echo(8), 1, 1))...), packet(plainIP)},
		{"echo request, cut off", ethernetFrame(0x0800, packet4(1, echo(8)[:7])...), packet(plainIP)},
		{"ipv4 with icmpv6", ethernetFrame(0x0800, packet4(58, echo(128))...), packet(plainIP)},
		{"gre", ethernetFrame(0x0800, packet4(47, make([]byte, 20))...), packet(plainIP)},

		{"ipv6 tcp", ethernetFrame(0x86dd, extended6(6, tcp(2))...), in6(at(syn, 14, 54))},
		{"ipv6 udp", ethernetFrame(0x86dd, extended6(17, udp(3))...), in6(carrying(3, at(datagram, 14, 54)))},
		{"ipv6 echo request", ethernetFrame(0x86dd, extended6(58, echo(128))...), in6(lan.Packet{Kind: lan.EchoRequest, EchoID: 1, EchoSeq: 2, Transport: 54})},
		{"ipv6 echo reply", ethernetFrame(0x86dd, extended6(58, echo(129))...), in6(lan.Packet{Kind: lan.EchoReply, EchoID: 1, EchoSeq: 2, Transport: 54})},
		{"ipv6 echo reply, bad code", ethernetFrame(0x86dd, extended6(58, with(echo(129), 1, 1))...), in6(plainIP)},
		{"ipv6 echo reply, cut off", ethernetFrame(0x86dd, extended6(58, echo(129)[:7])...), in6(plainIP)},
		{"ipv6 with an echo reply of icmpv4", ethernetFrame(0x86dd, extended6(58, echo(0))...), in6(plainIP)},
		{"ipv6 with icmpv4", ethernetFrame(0x86dd, extended6(1, echo(8))...), in6(plainIP)},
		{"ipv6 icmp without a type", ethernetFrame(0x86dd, extended6(58)...), in6(plainIP)},
		{"ipv6 no next header", ethernetFrame(0x86dd, extended6(59, tcp(2))...), in6(plainIP)},
		{"ipv6 esp", ethernetFrame(0x86dd, extended6(50, make([]byte, 40))...), in6(plainIP)},
		{"ipv6 hop-by-hop, routing, options", ethernetFrame(0x86dd, extended6(0, extension(43, 8), extension(60, 24), extension(6, 16), tcp(2))...),
			in6(at(syn, 14, 54+48))},
		{"ipv6 authenticated", ethernetFrame(0x86dd, extended6(51, with(make([]byte, 24), 0, 6, 4), tcp(2))...), in6(at(syn, 14, 54+24))},
		{"ipv6 first fragment", ethernetFrame(0x86dd, extended6(44, fragment6(6, 0x0001), tcp(2))...), in6(part6(at(syn, 14, 54+8)))},
		{"ipv6 first fragment, reserved bits", ethernetFrame(0x86dd, extended6(44, fragment6(6, 0x0007), tcp(2))...), in6(part6(at(syn, 14, 54+8)))},
		{"ipv6 atomic fragment", ethernetFrame(0x86dd, extended6(44, fragment6(17, 0), udp(3))...), in6(carrying(3, at(datagram, 14, 54+8)))},
		{"ipv6 later fragment", ethernetFrame(0x86dd, extended6(44, fragment6(6, 0x0009), tcp(2))...), in6(part6(plainIP))},
		{"ipv6 later fragment of extensions", ethernetFrame(0x86dd, extended6(60, extension(44, 8), fragment6(60, 0x0009), extension(6, 8))...), in6(part6(plainIP))},
		{"ipv6 fragment header cut off", ethernetFrame(0x86dd, extended6(44, fragment6(6, 1)[:7])...), in6(plainIP)},
		{"ipv6 extension cut off", ethernetFrame(0x86dd, extended6(60, extension(6, 16)[:12])...), in6(plainIP)},
		{"ipv6 extension of one octet", ethernetFrame(0x86dd, extended6(60, []byte{6})...), in6(plainIP)},
		{"ipv6 authentication of one octet", ethernetFrame(0x86dd, extended6(51, []byte{6})...), in6(plainIP)},
		{"ipv6 seven extensions", ethernetFrame(0x86dd, extended6(60, chain(7), tcp(2))...), in6(at(syn, 14, 54+7*8))},
		{"ipv6 too many extensions", ethernetFrame(0x86dd, extended6(60, chain(8), tcp(2))...), in6(plainIP)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, view(t, c.frame), compareAddr); diff != "" {
				t.Errorf("packet (-want +got):\n%s", diff)
			}
		})
	}
}

// chain builds n destination options headers, the last followed by TCP.
func chain(n int) []byte {
	var b []byte
	for range n - 1 {
		b = append(b, extension(60, 8)...)
	}
	return append(b, extension(6, 8)...)
}

func TestParseRejects(t *testing.T) {
	cases := []struct {
		name  string
		frame []byte
		want  lan.Verdict
	}{
		{"nothing", nil, lan.Truncated},
		{"header cut off", ethernetFrame(0x0800)[:13], lan.Truncated},
		{"tag cut off", tagged(ethernetFrame(0x0800), 0)[:17], lan.Truncated},
		{"another vlan", tagged(ethernetFrame(0x0800, packet4(6, tcp(2))...), 0x2005), lan.ForeignVLAN},
		{"service tag", ethernetFrame(0x88a8, 0, 0, 8, 0), lan.ForeignVLAN},
		{"arp cut off", ethernetFrame(0x0806, arpBody(1)[:27]...), lan.Truncated},
		{"arp hardware type", ethernetFrame(0x0806, with(arpBody(1), 1, 6)...), lan.BadARP},
		{"arp protocol type", ethernetFrame(0x0806, with(arpBody(1), 2, 0x86, 0xdd)...), lan.BadARP},
		{"arp hardware length", ethernetFrame(0x0806, with(arpBody(1), 4, 128)...), lan.BadARP},
		{"arp protocol length", ethernetFrame(0x0806, with(arpBody(1), 5, 16)...), lan.BadARP},
		{"arp operation 0", ethernetFrame(0x0806, arpBody(0)...), lan.BadARP},
		{"rarp operation", ethernetFrame(0x0806, arpBody(3)...), lan.BadARP},
		{"ipv4 cut off", ethernetFrame(0x0800, packet4(6, nil)[:19]...), lan.Truncated},
		{"ipv4 version", ethernetFrame(0x0800, with(packet4(6, tcp(2)), 0, 0x65)...), lan.BadIP},
		{"ipv4 header too short", ethernetFrame(0x0800, with(packet4(6, tcp(2)), 0, 0x44)...), lan.BadIP},
		{"ipv4 length below its header", ethernetFrame(0x0800, with(packet4(6, tcp(2)), 2, 0, 19)...), lan.BadIP},
		{"ipv4 length beyond the frame", ethernetFrame(0x0800, packet4(6, tcp(2))[:39]...), lan.Truncated},
		{"ipv4 options beyond the frame", ethernetFrame(0x0800, with(packet4(6, nil), 0, 0x46, 0, 0, 24)...), lan.Truncated},
		{"ipv6 cut off", ethernetFrame(0x86dd, extended6(6)[:39]...), lan.Truncated},
		{"ipv6 version", ethernetFrame(0x86dd, with(extended6(6, tcp(2)), 0, 0x45)...), lan.BadIP},
		{"ipv6 length beyond the frame", ethernetFrame(0x86dd, extended6(6, tcp(2))[:59]...), lan.Truncated},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var p lan.Packet
			if got := p.Parse(c.frame); got != c.want {
				t.Errorf("verdict %v, want %v", got, c.want)
			}
		})
	}
}

func TestParseKeepsTimeAndForgetsTheLastFrame(t *testing.T) {
	now := time.Unix(1, 2)
	p := lan.Packet{Time: now}
	if v := p.Parse(advice().frame(t)); v != lan.Accepted {
		t.Fatalf("verdict %v", v)
	}
	frame := ethernetFrame(0x88cc)
	if v := p.Parse(frame); v != lan.Accepted {
		t.Fatalf("verdict %v", v)
	}
	want := lan.Packet{Time: now, Frame: frame, Src: clientMAC, Dst: porterMAC}
	if diff := cmp.Diff(want, p, compareAddr); diff != "" {
		t.Errorf("packet (-want +got):\n%s", diff)
	}
}

func TestSYN(t *testing.T) {
	const fin, syn, rst, psh, ack, ece, cwr = 1, 2, 4, 8, 16, 64, 128
	for flags, want := range map[byte]bool{
		syn: true, syn | ece | cwr: true, syn | psh: true,
		syn | ack: false, syn | rst: false, syn | fin: false, ack: false, rst: false, 0: false, fin | ack: false,
	} {
		p := view(t, ethernetFrame(0x0800, packet4(6, tcp(flags))...))
		if p.SYN() != want {
			t.Errorf("flags %#02x: SYN is %v, want %v", flags, p.SYN(), want)
		}
	}
	if (&lan.Packet{Kind: lan.UDP, Flags: syn}).SYN() {
		t.Error("a UDP packet is a SYN")
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	frames := [][]byte{
		ethernetFrame(0x0806, arpBody(1)...), question().frame(t), advice().frame(t),
		ethernetFrame(0x0800, packet4(6, tcp(2))...), ethernetFrame(0x86dd, extended6(60, chain(4), tcp(2))...), ethernetFrame(0x0806), nil,
		unreachable4(lost4()), unreachable6(lost6()),
	}
	var p lan.Packet
	if n := testing.AllocsPerRun(100, func() {
		for _, f := range frames {
			p.Parse(f)
		}
	}); n != 0 {
		t.Errorf("%v allocations for %d frames, want 0", n, len(frames))
	}
}

func TestNames(t *testing.T) {
	if got := lan.NeighborSolicitation.String(); got != "neighbor solicitation" {
		t.Errorf("kind is %q", got)
	}
	if got := lan.IP.String(); got != "ip" {
		t.Errorf("kind is %q", got)
	}
	if got := lan.Kind(99).String(); got != "kind(99)" {
		t.Errorf("kind is %q", got)
	}
	if got := lan.ForeignVLAN.String(); got != "foreign_vlan" {
		t.Errorf("verdict is %q", got)
	}
	if got := lan.Verdict(99).String(); got != "verdict(99)" {
		t.Errorf("verdict is %q", got)
	}
}

func BenchmarkParse(b *testing.B) {
	for name, frame := range map[string][]byte{
		"arp":  ethernetFrame(0x0806, arpBody(1)...),
		"ns":   question().frame(b),
		"syn":  ethernetFrame(0x0800, packet4(6, tcp(2))...),
		"udp":  ethernetFrame(0x86dd, extended6(17, udp(3))...),
		"icmp": unreachable4(lost4()),
	} {
		b.Run(name, func(b *testing.B) {
			var p lan.Packet
			b.ReportAllocs()
			for b.Loop() {
				p.Parse(frame)
			}
		})
	}
}

// TestOtherEtherTypesMeanNothing: what a network card, a switch's port or a bond
// sends by itself comes from a machine's MAC also while the machine sleeps.
func TestOtherEtherTypesMeanNothing(t *testing.T) {
	nearest := ether.MAC{0x01, 0x80, 0xc2, 0, 0, 0x0e} // IEEE 802.1AB, section 7.1
	silent := [][]byte{
		named("lldp", dst(nearest, ethernetFrame(0x88cc, 2, 7, 4))),
		named("lldp to us", ethernetFrame(0x88cc, 2, 7, 4)),
		named("lldp, priority tag", tagged(dst(nearest, ethernetFrame(0x88cc, 2, 7, 4)), 0xe000)),
		named("lldp, two priority tags", tagged(tagged(dst(nearest, ethernetFrame(0x88cc, 2, 7, 4)), 0), 0)),
		named("lacp", dst(nearest, ethernetFrame(0x8809, 1, 1))),
		named("eapol", dst(nearest, ethernetFrame(0x888e, 1, 1, 0, 0))),
		named("stp", dst(nearest, ethernetFrame(0x0026, 0x42, 0x42, 3))),
		named("magic packet", ethernetFrame(0x0842, 255, 255, 255)),
		named("ptp", ethernetFrame(0x88f7, 0)),
	}
	heard := [][]byte{
		named("ip", to(client4)), named("ip, priority tag", tagged(to(client4), 0xe000)),
		named("ipv6", to(client6)), named("ip, two priority tags", tagged(tagged(to(client4), 0), 0)),
	}
	want := []string{"ip", "ip, priority tag", "ipv6", "ip, two priority tags"}
	for name, in := range map[string]lan.Interest{
		"the filter has room": {MACs: []ether.MAC{clientMAC}},
		"it has given up":     {MACs: append(crowd(5000).MACs, clientMAC)},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLink(t)
			if err := l.porter.SetInterest(in); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, l.through(append(silent, heard...)...)); diff != "" {
				t.Errorf("frames that came through (-want +got):\n%s", diff)
			}
			for v, n := range l.porter.Rejected() {
				if n != 0 {
					t.Errorf("%d frames are counted as %v", n, v)
				}
			}
		})
	}
}
