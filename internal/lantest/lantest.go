// Package lantest builds frames and machines for tests: parsed packets of package lan, whole
// frames, and crowds of machines. The addresses are those of the lab.
package lantest

import (
	"encoding/binary"
	"net/netip"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// PorterMAC is the MAC of the porter.
var PorterMAC = ether.MAC{2, 0x77, 0, 0, 0, 2}

// The services of machines.
var (
	SSH  = machine.Port{Protocol: machine.TCP, Number: 22}
	Game = machine.Port{Protocol: machine.UDP, Number: 27015}
	Ping = machine.Port{Protocol: machine.ICMP}
)

// ARPRequest is an ARP request for the address to.
func ARPRequest(src, dst ether.MAC, from, to netip.Addr) *lan.Packet {
	return &lan.Packet{Kind: lan.ARPRequest, Src: src, Dst: dst, SenderMAC: src, From: from, To: to}
}

// ARPProbe is an ARP probe for ip (RFC 5227 section 2.1.1).
func ARPProbe(src ether.MAC, ip netip.Addr) *lan.Packet {
	return ARPRequest(src, ether.Broadcast, netip.IPv4Unspecified(), ip)
}

// ARPReply is an ARP reply: the address from is at src.
func ARPReply(src, dst ether.MAC, from, to netip.Addr) *lan.Packet {
	return &lan.Packet{Kind: lan.ARPReply, Src: src, Dst: dst, SenderMAC: src, From: from, To: to}
}

// Solicit is a neighbor solicitation for target.
func Solicit(src ether.MAC, from, target netip.Addr) *lan.Packet {
	return &lan.Packet{Kind: lan.NeighborSolicitation, Src: src, From: from, To: target, SenderMAC: src, Target: target}
}

// DAD is a solicitation of duplicate address detection (RFC 4862 section 5.4.2), which has no
// option.
func DAD(src ether.MAC, ip netip.Addr) *lan.Packet {
	return &lan.Packet{Kind: lan.NeighborSolicitation, Src: src, From: netip.IPv6Unspecified(), Target: ip}
}

// Advertise is a neighbor advertisement for target, with a target link-layer option unless
// that is zero. It is solicited if it goes to the porter.
func Advertise(src, dst, option ether.MAC, target netip.Addr) *lan.Packet {
	return &lan.Packet{Kind: lan.NeighborAdvertisement, Src: src, Dst: dst, From: target,
		To: netip.IPv6LinkLocalAllNodes(), SenderMAC: option, Target: target, Solicited: dst == PorterMAC}
}

// IP is an IP packet that goes to the porter's MAC.
func IP(kind lan.Kind, src ether.MAC, from, to netip.Addr) *lan.Packet {
	return &lan.Packet{Kind: kind, Src: src, Dst: PorterMAC, From: from, To: to}
}

// ClientPort is the port that clients send from.
const ClientPort = 40000

// Segment is a TCP segment that goes to the porter's MAC.
func Segment(src ether.MAC, from, to netip.Addr, port uint16, flags byte) *lan.Packet {
	p := IP(lan.TCP, src, from, to)
	p.FromPort, p.ToPort, p.Flags = ClientPort, port, flags
	return p
}

// Datagram is a UDP datagram in a whole frame, without a checksum.
func Datagram(src, dst ether.MAC, from, to netip.AddrPort, payload string) *lan.Packet {
	udp := binary.BigEndian.AppendUint16(nil, from.Port())
	udp = binary.BigEndian.AppendUint16(udp, to.Port())
	udp = binary.BigEndian.AppendUint16(udp, uint16(8+len(payload)))
	return whole(src, dst, from.Addr(), to.Addr(), 17, append(append(udp, 0, 0), payload...))
}

// Unreachable is "port unreachable" about a datagram, in a whole frame without a
// checksum.
func Unreachable(src, dst ether.MAC, about *lan.Packet) *lan.Packet {
	icmp, protocol := []byte{3, 3, 0, 0, 0, 0, 0, 0}, byte(1) // RFC 792
	if about.From.Is6() {
		icmp, protocol = []byte{1, 4, 0, 0, 0, 0, 0, 0}, 58 // RFC 4443 section 3.1
	}
	return whole(src, dst, about.To, about.From, protocol, append(icmp, about.Frame[about.Network:]...))
}

// whole returns the parsed frame of an IP packet with this content.
func whole(src, dst ether.MAC, from, to netip.Addr, protocol byte, content []byte) *lan.Packet {
	var frame []byte
	if from.Is4() {
		frame = ipv4Frame(src, dst, from, to, protocol, content)
	} else {
		frame = IPv6Frame(src, dst, from, to, protocol, 64, content)
	}
	p := new(lan.Packet)
	if v := p.Parse(frame); v != lan.Accepted {
		panic(v) // a fault of this package
	}
	return p
}

// Crowd returns n machines with both families.
func Crowd(n int) []machine.Spec {
	ports := []machine.Port{SSH, Game, Ping}
	all := make([]machine.Spec, n)
	for i := range all {
		mac := ether.MAC{2, 0x77, 1, 0, byte(i >> 8), byte(i)}
		ip6 := netip.MustParseAddr("fd77::20").As16()
		ip6[14], ip6[15] = byte(i>>8)+1, byte(i)
		all[i] = machine.Spec{Name: "m" + mac.String(), MAC: mac, Monitor: []machine.Address{
			{IP: netip.AddrFrom4([4]byte{10, 77, byte(i>>8) + 1, byte(i)}), Ports: ports},
			{IP: netip.AddrFrom16(ip6), Ports: ports},
		}}
	}
	return all
}
