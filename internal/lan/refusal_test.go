package lan_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"nightporter/internal/lan"
)

// headed sets the header checksum of an IPv4 packet.
func headed(packet []byte) []byte {
	packet = with(packet, 10, 0, 0)
	binary.BigEndian.PutUint16(packet[10:], ^fold(packet[:int(packet[0]&15)*4]))
	return packet
}

// from4 and from6 are SYNs from an address.
func from4(ip string) []byte {
	return headed(with(packet4(6, tcp(2)), 12, netip.MustParseAddr(ip).AsSlice()...))
}

func from6(ip string) []byte {
	return packet6(netip.MustParseAddr(ip), sleepy6, 6, 64, tcp(2))
}

// optional4 is a SYN with IPv4 options.
func optional4(options ...byte) []byte {
	return headed(with(options4(packet4(6, tcp(2)), (len(options)+3)/4*4), 20, options...))
}

// refusals are packets by why no kernel takes them.
func refusals() map[lan.Refusal]map[string][]byte {
	damaged := from4("192.168.7.2")
	damaged[10] ^= 0x40
	return map[lan.Refusal]map[string][]byte{
		lan.Taken: {
			"syn": from4("192.168.7.2"), "datagram": headed(packet4(17, udp(3))), "from the internet": from4("203.0.113.7"),
			"echo request": headed(packet4(1, echo(8))), "a later fragment": headed(fragment4(packet4(17, udp(9)), 0x2004)),
			"last hop": headed(with(packet4(6, tcp(2)), 8, 1)), "padded options": optional4(1, 1, 0, 99),
			"a timestamp": optional4(68, 8, 5, 0, 0, 0, 0, 0), "record route": optional4(7, 7, 4, 0, 0, 0, 0, 0),
			"ipv6 syn": from6("fe80::2"), "ipv6, global": from6("2001:db8::7"), "ipv6, unique local": from6("fd77::10"),
			"ipv6, last hop":   packet6(client6, sleepy6, 6, 1, tcp(2)),
			"ipv6, extensions": extended6(0, extension(60, 8), extension(6, 16), tcp(2)),
			"ipv6, last stop":  extended6(43, with(extension(6, 8), 2, 2, 0), tcp(2)), // type 2: RFC 6275 section 6.4
			"ipv6, a fragment": extended6(44, fragment6(17, 1), udp(4)),
		},
		lan.BadSource: {
			"unspecified": from4("0.0.0.0"), "this network": from4("0.1.2.3"), "loopback": from4("127.0.0.1"), "loopback network": from4("127.9.9.9"),
			"multicast": from4("224.0.0.1"), "multicast, last": from4("239.255.255.250"), "class E": from4("240.0.0.1"), "broadcast": from4("255.255.255.255"),
			"echo request by all": headed(with(packet4(1, echo(8)), 12, 255, 255, 255, 255)),
			"ipv6 unspecified":    from6("::"), "ipv6 loopback": from6("::1"), "ipv6 all nodes": from6("ff02::1"), "ipv6 multicast": from6("ff0e::1"),
			"ipv4-mapped": from6("::ffff:192.168.7.2"),
		},
		lan.NoHops: {
			"ttl": headed(with(packet4(6, tcp(2)), 8, 0)), "hop limit": packet6(client6, sleepy6, 6, 0, tcp(2)),
			"hop limit, datagram": packet6(client6, sleepy6, 17, 0, udp(4)),
		},
		lan.SourceRoute: {
			"loose": optional4(131, 7, 4, 10, 0, 0, 1), "strict": optional4(137, 7, 4, 10, 0, 0, 1), "travelled": optional4(131, 7, 8, 10, 0, 0, 1),
			"after another option":   optional4(1, 7, 7, 4, 0, 0, 0, 0, 137, 7, 4, 10, 0, 0, 1),
			"ipv6, type 0":           extended6(43, with(extension(6, 24), 2, 0, 1), tcp(2)),
			"ipv6, type 0, no stops": extended6(43, with(extension(6, 8), 2, 0, 0), tcp(2)),
			"ipv6, another type":     extended6(43, with(extension(6, 24), 2, 4, 1), tcp(2)),
			"ipv6, hidden":           extended6(60, extension(43, 8), with(extension(6, 24), 2, 0, 2), tcp(2)),
		},
		lan.BadOptions: {
			"no length": optional4(7, 0), "a length of one": optional4(7, 1), "too long": optional4(7, 9, 4), "cut off": optional4(1, 1, 1, 7),
			"a source route that is too long": optional4(131, 39, 4),
		},
		lan.BadChecksum: {"damaged": damaged, "none": with(packet4(6, tcp(2)), 10, 0, 0), "of options": with(optional4(7, 7, 4, 0, 0, 0, 0, 0), 24, 1)},
	}
}

// TestAttackRefusal: a host sends packets that no kernel takes, so that the porter wakes a
// machine for them and sends them on to it.
func TestAttackRefusal(t *testing.T) {
	for want, packets := range refusals() {
		for name, packet := range packets {
			t.Run(fmt.Sprintf("%v/%s", want, name), func(t *testing.T) {
				etherType := uint16(0x0800)
				if packet[0]>>4 == 6 {
					etherType = 0x86dd
				}
				for _, frame := range [][]byte{ethernetFrame(etherType, packet...), tagged(ethernetFrame(etherType, packet...), 0xe000)} {
					for _, sum := range []lan.Checksum{lan.Unchecked, lan.Verified, lan.Unfinished} {
						p := lan.Packet{Sum: sum}
						if v := p.Parse(frame); v != lan.Accepted {
							t.Fatalf("the frame is %v", v)
						}
						if got := p.Refusal(); got != want {
							t.Errorf("with the transport checksum %d: %v, want %v", sum, got, want)
						}
					}
				}
			})
		}
	}
}

// ARP and neighbor discovery from no address at all are tests of one.
func TestRefusalIsOfPackets(t *testing.T) {
	for _, frame := range [][]byte{ethernetFrame(0x0806, with(arpBody(1), 14, 0, 0, 0, 0)...), question().frame(t), advice().frame(t), ethernetFrame(0x88cc, 1, 2, 3)} {
		p := view(t, frame)
		if got := p.Refusal(); got != lan.Taken {
			t.Errorf("%v: %v", p.Kind, got)
		}
	}
}

func TestRefusalNames(t *testing.T) {
	if got := lan.SourceRoute.String() + lan.Refusals.String(); got != "source_routerefusal(7)" {
		t.Errorf("the names are %q", got)
	}
}

func BenchmarkRefusal(b *testing.B) {
	for name, frame := range map[string][]byte{
		"syn": ethernetFrame(0x0800, from4("192.168.7.2")...), "syn6": ethernetFrame(0x86dd, from6("fe80::2")...),
	} {
		b.Run(name, func(b *testing.B) {
			var p lan.Packet
			p.Parse(frame)
			b.ReportAllocs()
			for b.Loop() {
				if p.Refusal() != lan.Taken {
					b.Fatal("refused")
				}
			}
		})
	}
}
