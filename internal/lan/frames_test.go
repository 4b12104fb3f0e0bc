package lan_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"nightporter/internal/ether"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv6"
)

// The cast of the tests.
var (
	porterMAC = ether.MAC{0x02, 0, 0, 0, 0, 0x01}
	clientMAC = ether.MAC{0x02, 0, 0, 0, 0, 0x02}
	sleepyMAC = ether.MAC{0x02, 0, 0, 0, 0, 0x03}

	porter4 = netip.MustParseAddr("192.168.7.1")
	client4 = netip.MustParseAddr("192.168.7.2")
	sleepy4 = netip.MustParseAddr("192.168.7.3")
	porter6 = netip.MustParseAddr("fe80::1")
	client6 = netip.MustParseAddr("fe80::2")
	sleepy6 = netip.MustParseAddr("2001:db8::a1b:2c3d")
	group6  = netip.MustParseAddr("ff02::1:ff1b:2c3d") // solicited-node group of sleepy6
)

// ethernetFrame builds an Ethernet frame from the client to the porter.
func ethernetFrame(etherType uint16, payload ...byte) []byte {
	b := append(porterMAC[:], clientMAC[:]...)
	b = binary.BigEndian.AppendUint16(b, etherType)
	return append(b, payload...)
}

// tagged puts an 802.1Q tag into a frame.
func tagged(frame []byte, tci uint16) []byte {
	b := append([]byte(nil), frame[:12]...)
	b = binary.BigEndian.AppendUint16(b, 0x8100)
	b = binary.BigEndian.AppendUint16(b, tci)
	return append(b, frame[12:]...)
}

// packet4 builds an IPv4 packet from client4 to sleepy4.
func packet4(protocol byte, payload []byte) []byte {
	b := make([]byte, 20, 20+len(payload))
	b[0], b[8], b[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
	copy(b[12:], client4.AsSlice())
	copy(b[16:], sleepy4.AsSlice())
	return append(b, payload...)
}

// fragment4 sets the fragment field of an IPv4 packet.
func fragment4(packet []byte, field uint16) []byte {
	binary.BigEndian.PutUint16(packet[4:], 0x1234) // identification
	binary.BigEndian.PutUint16(packet[6:], field)
	return packet
}

// options4 puts n octets of options into an IPv4 packet.
func options4(packet []byte, n int) []byte {
	b := append([]byte(nil), packet[:20]...)
	b = append(b, make([]byte, n)...)
	b = append(b, packet[20:]...)
	b[0] += byte(n / 4)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

// packet6 builds an IPv6 packet.
func packet6(from, to netip.Addr, next, hopLimit byte, payload []byte) []byte {
	b := []byte{0x60, 0, 0, 0, 0, 0, next, hopLimit}
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	b = append(b, from.AsSlice()...)
	b = append(b, to.AsSlice()...)
	return append(b, payload...)
}

// extended6 builds an IPv6 packet from client6 to sleepy6.
func extended6(next byte, payload ...[]byte) []byte {
	var all []byte
	for _, p := range payload {
		all = append(all, p...)
	}
	return packet6(client6, sleepy6, next, 64, all)
}

// extension builds an IPv6 extension header of the given length.
func extension(next byte, length int) []byte {
	b := make([]byte, length)
	b[0], b[1] = next, byte(length/8-1)
	return b
}

// fragment6 builds a fragment header.
func fragment6(next byte, field uint16) []byte {
	b := []byte{next, 0, 0, 0, 0x12, 0x34, 0x56, 0x78}
	binary.BigEndian.PutUint16(b[2:], field)
	return b
}

func tcp(flags byte) []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, 40000)
	binary.BigEndian.PutUint16(b[2:], 22)
	b[12], b[13] = 5<<4, flags
	return b
}

// data is a TCP segment with a payload.
func data(flags byte, seq, ack uint32, payload string) []byte {
	b := tcp(flags)
	binary.BigEndian.PutUint32(b[4:], seq)
	binary.BigEndian.PutUint32(b[8:], ack)
	return append(b, payload...)
}

func udp(payload int) []byte {
	b := make([]byte, 8+payload)
	binary.BigEndian.PutUint16(b, 40000)
	binary.BigEndian.PutUint16(b[2:], 53)
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
	return b
}

func echo(typ byte) []byte { return []byte{typ, 0, 0, 0, 0, 1, 0, 2} }

// lost4 and lost6 are datagrams of ours to closed ports: packets from client4
// and client6.
func lost4() []byte { return packet4(17, udp(4)) }
func lost6() []byte { return extended6(17, udp(4)) }

// unreachable4 and unreachable6 are frames in which the machine tells the client
// that the port of the packet lost is closed.
func unreachable4(lost []byte) []byte {
	b := packet4(1, append([]byte{3, 3, 0, 0, 0, 0, 0, 0}, lost...))
	copy(b[12:], sleepy4.AsSlice())
	copy(b[16:], client4.AsSlice())
	return ethernetFrame(0x0800, b...)
}

func unreachable6(lost []byte) []byte {
	return ethernetFrame(0x86dd, packet6(sleepy6, client6, 58, 64, append([]byte{1, 4, 0, 0, 0, 0, 0, 0}, lost...))...)
}

// arpBody builds an ARP packet from the client for sleepy4.
func arpBody(op byte) []byte {
	b := []byte{0, 1, 8, 0, 6, 4, 0, op}
	b = append(b, clientMAC[:]...)
	b = append(b, client4.AsSlice()...)
	b = append(b, make([]byte, 6)...)
	return append(b, sleepy4.AsSlice()...)
}

// with returns a changed copy of b.
func with(b []byte, at int, values ...byte) []byte {
	b = append([]byte(nil), b...)
	copy(b[at:], values)
	return b
}

// nd is an ND message and the packet around it. The checksum is another
// library's.
type nd struct {
	from, to netip.Addr
	typ      ipv6.ICMPType
	code     int
	hopLimit byte // 0: 255
	flags    byte
	target   netip.Addr
	options  []byte
	short    bool // leave the target out
}

func (m nd) packet(tb testing.TB) []byte {
	tb.Helper()
	body := append([]byte{m.flags, 0, 0, 0}, m.target.AsSlice()...)
	if m.short {
		body = body[:4]
	}
	message := icmp.Message{Type: m.typ, Code: m.code, Body: &icmp.RawBody{Data: append(body, m.options...)}}
	b, err := message.Marshal(icmp.IPv6PseudoHeader(m.from.AsSlice(), m.to.AsSlice()))
	if err != nil {
		tb.Fatal(err)
	}
	if m.hopLimit == 0 {
		m.hopLimit = 255
	}
	return packet6(m.from, m.to, 58, m.hopLimit, b)
}

func (m nd) frame(tb testing.TB) []byte { return ethernetFrame(0x86dd, m.packet(tb)...) }

// lla is a link-layer address option.
func lla(code byte, mac ether.MAC) []byte { return append([]byte{code, 1}, mac[:]...) }

// question and advice are a valid solicitation and advertisement.
func question() nd {
	return nd{from: client6, to: group6, typ: ipv6.ICMPTypeNeighborSolicitation, target: sleepy6, options: lla(1, clientMAC)}
}

func advice() nd {
	return nd{from: sleepy6, to: client6, typ: ipv6.ICMPTypeNeighborAdvertisement, flags: 0x60, target: sleepy6, options: lla(2, sleepyMAC)}
}
