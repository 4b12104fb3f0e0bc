package lan_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"nightporter/internal/ether"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"nightporter/internal/lan"
)

func FuzzParse(f *testing.F) {
	for _, frame := range [][]byte{
		nil, ethernetFrame(0x88cc, 1, 2, 3), ethernetFrame(0x0806, arpBody(1)...), tagged(ethernetFrame(0x0806, arpBody(2)...), 0xe000),
		question().frame(f), advice().frame(f),
		ethernetFrame(0x0800, packet4(6, tcp(2))...), ethernetFrame(0x0800, options4(packet4(17, udp(9)), 12)...),
		ethernetFrame(0x0800, packet4(1, echo(8))...), ethernetFrame(0x0800, packet4(1, echo(0))...), ethernetFrame(0x86dd, extended6(58, echo(129))...),
		ethernetFrame(0x0800, fragment4(packet4(6, tcp(2)), 0x2001)...),
		ethernetFrame(0x86dd, extended6(0, extension(43, 8), extension(60, 24), extension(6, 16), tcp(2))...),
		ethernetFrame(0x86dd, extended6(44, fragment6(6, 1), tcp(2))...), ethernetFrame(0x86dd, extended6(58, echo(128))...),
		ethernetFrame(0x86dd, extended6(51, with(make([]byte, 24), 0, 17, 4), udp(1))...),
		unreachable4(lost4()), unreachable4(options4(lost4(), 8)), unreachable6(lost6()),
		unreachable6(extended6(60, extension(44, 8), fragment6(17, 1), udp(9))),
		ethernetFrame(0x0800, optional4(131, 7, 4, 10, 0, 0, 1)...), ethernetFrame(0x86dd, extended6(43, with(extension(6, 24), 2, 0, 1), tcp(2))...),
	} {
		f.Add(frame)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		frame = signed(frame)
		var p lan.Packet
		before := bytes.Clone(frame)
		verdict := p.Parse(frame)
		if !bytes.Equal(frame, before) {
			t.Fatal("the frame was changed")
		}
		if verdict != lan.Accepted {
			return
		}
		checkOffsets(t, &p)
		if p.Refusal() >= lan.Refusals {
			t.Fatalf("refused as %v", p.Refusal())
		}
		switch p.Kind {
		case lan.ARPRequest, lan.ARPReply:
			checkARP(t, &p)
		case lan.NeighborSolicitation, lan.NeighborAdvertisement:
			checkND(t, &p)
		case lan.PortUnreachable:
			checkUnreachable(t, &p)
		case lan.EchoRequest, lan.EchoReply:
			checkEcho(t, &p)
		}
	})
}

// signed returns frame, if it is an ICMPv6 message, with a right checksum: a
// fuzzer hardly finds one.
func signed(frame []byte) []byte {
	if len(frame) < 58 || frame[12] != 0x86 || frame[13] != 0xdd || frame[20] != 58 {
		return frame
	}
	b := bytes.Clone(frame)
	end := min(54+int(b[18])<<8+int(b[19]), len(b))
	if end < 58 {
		return frame
	}
	b[56], b[57] = 0, 0
	sum := 58 + uint32(end-54)
	for i := 22; i < end; i += 2 {
		sum += uint32(b[i]) << 8
		if i+1 < end {
			sum += uint32(b[i+1])
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	b[56], b[57] = byte(^sum>>8), byte(^sum)
	return b
}

func checkOffsets(t *testing.T, p *lan.Packet) {
	t.Helper()
	header := map[lan.Kind]int{
		lan.TCP: 20, lan.UDP: 8, lan.EchoRequest: 8, lan.EchoReply: 8, lan.PortUnreachable: 8, lan.NeighborSolicitation: 24, lan.NeighborAdvertisement: 24,
	}
	need, transport := header[p.Kind]
	switch {
	case p.Payload < 0 || p.Payload > 0 && p.Transport+need+p.Payload > len(p.Frame):
		t.Fatalf("%v at %d with %d octets of payload in %d", p.Kind, p.Transport, p.Payload, len(p.Frame))
	case p.Payload > 0 && p.Kind != lan.TCP && p.Kind != lan.UDP:
		t.Fatalf("%v with %d octets of payload", p.Kind, p.Payload)
	case p.EchoID|p.EchoSeq != 0 && p.Kind != lan.EchoRequest && p.Kind != lan.EchoReply:
		t.Fatalf("%v with the number of an echo", p.Kind)
	case !p.Fragment && (p.FragmentID != 0 || p.FragmentOf != 0):
		t.Fatalf("%v with an identification, and no fragment", p.Kind)
	case p.Fragment && p.From.Is4() && (p.FragmentID != uint32(p.Frame[p.Network+4])<<8+uint32(p.Frame[p.Network+5]) || p.FragmentOf != p.Frame[p.Network+9]):
		t.Fatalf("fragment %#x of protocol %d", p.FragmentID, p.FragmentOf)
	case p.Fragment && p.From.Is6() && !bytes.Contains(p.Frame[p.Network+40:], binary.BigEndian.AppendUint32(nil, p.FragmentID)):
		t.Fatalf("fragment %#x", p.FragmentID)
	case p.Fragment && p.Network == 0:
		t.Fatalf("%v as a fragment", p.Kind)
	case transport != (p.Transport != 0):
		t.Fatalf("%v with the transport header at %d", p.Kind, p.Transport)
	case (transport || p.Kind == lan.IP) != (p.Network != 0):
		t.Fatalf("%v with the network header at %d", p.Kind, p.Network)
	case p.Network != 0 && p.Network != 14 && p.Network != 18:
		t.Fatalf("network header at %d", p.Network)
	case transport && (p.Transport < p.Network+20 || p.Transport+need > len(p.Frame)):
		t.Fatalf("%v at %d of %d octets", p.Kind, p.Transport, len(p.Frame))
	case (p.Kind != lan.Other) != (p.From.IsValid() && p.To.IsValid()):
		t.Fatalf("%v from %v to %v", p.Kind, p.From, p.To)
	}
}

// checkUnreachable reads the datagram inside as a packet of its own, once it is
// as long as its headers say.
func checkUnreachable(t *testing.T, p *lan.Packet) {
	t.Helper()
	inside := bytes.Clone(p.Frame[p.Transport+8:])
	inside = append(inside, make([]byte, 1<<16)...)
	etherType := uint16(0x0800)
	if p.From.Is6() {
		etherType = 0x86dd
	}
	var q lan.Packet
	if v := q.Parse(ethernetFrame(etherType, inside...)); v != lan.Accepted {
		return // lengths that cannot be
	}
	if q.From != p.To || q.To != p.Target || q.Kind == lan.UDP && (q.FromPort != p.FromPort || q.ToPort != p.ToPort) {
		t.Fatalf("got %+v for %+v", p, q)
	}
}

// checkEcho compares with another library, which knows no pseudo-header here.
func checkEcho(t *testing.T, p *lan.Packet) {
	t.Helper()
	protocol, want := 1, map[icmp.Type]lan.Kind{ipv4.ICMPTypeEcho: lan.EchoRequest, ipv4.ICMPTypeEchoReply: lan.EchoReply}
	if p.From.Is6() {
		protocol, want = 58, map[icmp.Type]lan.Kind{ipv6.ICMPTypeEchoRequest: lan.EchoRequest, ipv6.ICMPTypeEchoReply: lan.EchoReply}
	}
	m, err := icmp.ParseMessage(protocol, p.Frame[p.Transport:])
	if err != nil {
		t.Fatalf("echo: %v", err)
	}
	other, ok := m.Body.(*icmp.Echo)
	if !ok || want[m.Type] != p.Kind || other.ID != int(p.EchoID) || other.Seq != int(p.EchoSeq) {
		t.Fatalf("got %+v, want %+v", p, m.Body)
	}
}

// checkARP compares with another library.
func checkARP(t *testing.T, p *lan.Packet) {
	t.Helper()
	at := 14
	if p.Frame[12] == 0x81 {
		at = 18
	}
	var other arp.Packet
	if err := other.UnmarshalBinary(p.Frame[at:]); err != nil {
		t.Fatalf("arp: %v", err)
	}
	want := map[arp.Operation]lan.Kind{arp.OperationRequest: lan.ARPRequest, arp.OperationReply: lan.ARPReply}[other.Operation]
	if p.Kind != want || p.From != other.SenderIP || p.To != other.TargetIP || !bytes.Equal(p.SenderMAC[:], other.SenderHardwareAddr) {
		t.Fatalf("got %+v, want %+v", p, other)
	}
}

// checkND compares with another library, where that understands every option.
func checkND(t *testing.T, p *lan.Packet) {
	t.Helper()
	length := int(p.Frame[p.Network+4])<<8 | int(p.Frame[p.Network+5])
	m, err := ndp.ParseMessage(p.Frame[p.Transport : p.Network+40+length])
	if err != nil {
		return
	}
	var target netip.Addr
	var options []ndp.Option
	var solicited bool
	direction, kind := ndp.Source, lan.NeighborSolicitation
	switch m := m.(type) {
	case *ndp.NeighborSolicitation:
		target, options = m.TargetAddress, m.Options
	case *ndp.NeighborAdvertisement:
		target, options, solicited = m.TargetAddress, m.Options, m.Solicited
		direction, kind = ndp.Target, lan.NeighborAdvertisement
	}
	var sender ether.MAC
	for _, o := range options {
		if a, ok := o.(*ndp.LinkLayerAddress); ok && a.Direction == direction {
			sender = ether.MAC(a.Addr)
			break
		}
	}
	if p.Kind != kind || p.Target != target || p.Solicited != solicited || p.SenderMAC != sender {
		t.Fatalf("got %+v, want %v for %v, solicited %v, by %v", p, kind, target, solicited, sender)
	}
}
