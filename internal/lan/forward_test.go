package lan_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"nightporter/internal/ether"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/lan"
)

// forward returns what becomes of frame on its way from the porter to sleepyMAC,
// if the kernel says sum of its checksum.
func forward(frame []byte, mtu int, sum lan.Checksum) ([][]byte, error) {
	p := lan.Packet{Sum: sum}
	if v := p.Parse(bytes.Clone(frame)); v != lan.Accepted {
		return nil, errors.New(v.String())
	}
	var sent [][]byte
	err := lan.Forward(&p, porterMAC, sleepyMAC, mtu, func(b []byte) error {
		sent = append(sent, bytes.Clone(b))
		return nil
	})
	return sent, err
}

// arrival is the frame in which the machine has to get an IP packet.
func arrival(etherType uint16, packet []byte) []byte {
	b := append(append(sleepyMAC[:], porterMAC[:]...), byte(etherType>>8), byte(etherType))
	b = append(b, packet...)
	for len(b) < 60 {
		b = append(b, 0)
	}
	return b
}

// TestForward: nothing but the Ethernet addresses changes, and of a checksum that
// the sender has left to a card.
func TestForward(t *testing.T) {
	const v4, v6 = 0x0800, 0x86dd
	syn4, syn6 := finished(packet4(6, tcp(2)), 6, 20), finished(extended6(6, tcp(2)), 6, 40)
	long4 := finished(packet4(6, data(0x10, 1, 2, strings.Repeat("long", 20))), 6, 20)
	ping4, ping6 := finished(packet4(1, echo(8)), 1, 20), finished(extended6(58, echo(128)), 58, 40)
	udp4, udp6 := finished(packet4(17, udp(5)), 17, 20), finished(extended6(17, udp(5)), 17, 40)
	noSum := headed(packet4(17, udp(5)))
	// The last two octets of this datagram make its checksum come out as 0.
	zero := packet4(17, udp(4))
	from, to := ends(zero)
	binary.BigEndian.PutUint16(zero[30:], ^fold(pseudo(from, to, 17, 12), zero[20:]))
	first := headed(fragment4(packet4(6, with(tcp(2), 16, 7, 7)), 0x2000))
	later := headed(fragment4(packet4(17, udp(9)), 0x2004))
	stop := extended6(43, with(extension(6, 8), 3, 1), with(tcp(2), 16, 7, 7))
	arrived := finished(extended6(43, extension(6, 8), tcp(2)), 6, 48)
	routed := headed(with(options4(packet4(6, with(tcp(2), 16, 7, 7)), 8), 20, 1, 131, 7, 4))
	optional := finished(with(options4(packet4(6, tcp(2)), 8), 20, 1, 7, 7, 4), 6, 28)
	short := finished(packet4(17, udp(2)), 17, 20) // of 30 octets, and five more
	longer := append(bytes.Clone(short), 1, 2, 3, 4, 5)
	binary.BigEndian.PutUint16(longer[2:], 35)
	other := headed(packet4(1, with(echo(13), 2, 9, 9))) // timestamp
	for _, c := range []struct {
		name  string
		frame []byte
		want  []byte
	}{
		{"syn", ethernetFrame(v4, syn4...), arrival(v4, syn4)},
		{"syn, unfinished", ethernetFrame(v4, unfinished(packet4(6, tcp(2)), 6, 20)...), arrival(v4, syn4)},
		{"ipv6 syn, unfinished", ethernetFrame(v6, unfinished(extended6(6, tcp(2)), 6, 40)...), arrival(v6, syn6)},
		{"header checksum damaged", ethernetFrame(v4, with(syn4, 10, 9, 9)...), arrival(v4, with(syn4, 10, 9, 9))},
		{"a trailer", ethernetFrame(v4, append(bytes.Clone(long4), "trailer"...)...), arrival(v4, long4)},
		{"padding that says something", ethernetFrame(v4, append(bytes.Clone(syn4), "secret"...)...), arrival(v4, syn4)},
		{"priority tag", tagged(ethernetFrame(v4, unfinished(long4, 6, 20)...), 0xe000), arrival(v4, long4)},
		{"priority tag, ipv6, short", tagged(ethernetFrame(v6, syn6...), 0x2000), arrival(v6, syn6)},
		{"udp", ethernetFrame(v4, unfinished(packet4(17, udp(5)), 17, 20)...), arrival(v4, udp4)},
		{"udp without a checksum", ethernetFrame(v4, noSum...), arrival(v4, noSum)},
		{"udp, the checksum comes out as 0", ethernetFrame(v4, unfinished(zero, 17, 20)...), arrival(v4, headed(with(zero, 26, 0xff, 0xff)))},
		{"udp, less than the packet holds", ethernetFrame(v4, headed(with(longer, 26, 5, 5))...), arrival(v4, headed(longer))},
		{"ipv6 udp, unfinished", ethernetFrame(v6, unfinished(extended6(17, udp(5)), 17, 40)...), arrival(v6, udp6)},
		{"ipv6 udp without a checksum", ethernetFrame(v6, with(udp6, 46, 0, 0)...), arrival(v6, udp6)},
		{"echo request", ethernetFrame(v4, with(ping4, 22, 0, 0)...), arrival(v4, ping4)},
		{"ipv6 echo request", ethernetFrame(v6, with(ping6, 42, 0, 0)...), arrival(v6, ping6)},
		{"port unreachable", ethernetFrame(v4, headed(unreachable4(lost4())[14:])...), arrival(v4, finished(unreachable4(lost4())[14:], 1, 20))},
		{"ipv6 port unreachable", unreachable6(lost6()), arrival(v6, finished(unreachable6(lost6())[14:], 58, 40))},
		{"other icmp", ethernetFrame(v4, other...), arrival(v4, other)},
		{"first fragment", ethernetFrame(v4, first...), arrival(v4, first)},
		{"later fragment", ethernetFrame(v4, later...), arrival(v4, later)},
		{"atomic fragment", ethernetFrame(v6, unfinished(extended6(44, fragment6(6, 0), tcp(2)), 6, 48)...),
			arrival(v6, finished(extended6(44, fragment6(6, 0), tcp(2)), 6, 48))},
		{"extension headers", ethernetFrame(v6, unfinished(extended6(60, extension(6, 16), tcp(2)), 6, 56)...),
			arrival(v6, finished(extended6(60, extension(6, 16), tcp(2)), 6, 56))},
		{"source route, not the last stop", ethernetFrame(v6, stop...), arrival(v6, stop)},
		{"source route, the last stop", ethernetFrame(v6, unfinished(arrived, 6, 48)...), arrival(v6, arrived)},
		{"ipv4 source route", ethernetFrame(v4, routed...), arrival(v4, routed)},
		{"ipv4 options", ethernetFrame(v4, unfinished(optional, 6, 28)...), arrival(v4, optional)},
		{"impossible ipv4 options", ethernetFrame(v4, unfinished(with(optional, 21, 7, 0), 6, 28)...), arrival(v4, finished(with(optional, 21, 7, 0), 6, 28))},
	} {
		t.Run(c.name, func(t *testing.T) {
			sent, err := forward(c.frame, 1500, lan.Unfinished)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([][]byte{c.want}, sent); diff != "" {
				t.Errorf("frames (-want +got):\n%s", diff)
			}
		})
	}
}

// TestForwardCuts compares with segments that are made by hand.
func TestForwardCuts(t *testing.T) {
	const fin, psh, ack, urg, ece, cwr = 1, 8, 16, 32, 64, 128
	const flags = cwr | ece | urg | ack | psh | fin
	text := strings.Repeat("0123456789", 250)
	segment := func(family, n, at, end int, flags byte) []byte {
		seq := uint32(0xfffffff0) + uint32(at) // over the end of the sequence space
		tcp := with(data(flags, seq, 77, "options, 12.."[:12]+text[at:end]), 12, 8<<4)
		copy(tcp[14:], []byte{0x20, 0, 0, 0, 0, 9}) // window, checksum, urgent pointer
		if family == 6 {
			return finished(extended6(60, extension(6, 8), tcp), 6, 48)
		}
		packet := fragment4(packet4(6, tcp), 0x4000)
		binary.BigEndian.PutUint16(packet[4:], uint16(0xffff+n))
		return finished(packet, 6, 20)
	}
	for _, c := range []struct {
		name        string
		family, mtu int
		etherType   uint16
		tag         bool
		cuts        []int
	}{
		{"ipv4", 4, 1500, 0x0800, false, []int{0, 1448, 2500}},
		{"ipv4 with a tag", 4, 1500, 0x0800, true, []int{0, 1448, 2500}},
		{"ipv6", 6, 1500, 0x86dd, false, []int{0, 1420, 2500}},
		{"as long as the mtu", 4, 2552, 0x0800, false, []int{0, 2500}},
		{"an octet longer than the mtu", 4, 2551, 0x0800, false, []int{0, 2499, 2500}},
		{"shares shorter than the headers", 4, 1052, 0x0800, false, []int{0, 1000, 2000, 2500}},
	} {
		t.Run(c.name, func(t *testing.T) {
			frame := ethernetFrame(c.etherType, segment(c.family, 0, 0, 2500, flags)...)
			if c.tag {
				frame = tagged(frame, 0xe000)
			}
			var want [][]byte
			for n := range len(c.cuts) - 1 {
				f := byte(flags)
				if n > 0 {
					f &^= cwr
				}
				if n < len(c.cuts)-2 {
					f &^= fin | psh
				}
				want = append(want, arrival(c.etherType, segment(c.family, n, c.cuts[n], c.cuts[n+1], f)))
			}
			sent, err := forward(frame, c.mtu, lan.Unchecked)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, sent); diff != "" {
				t.Errorf("frames (-want +got):\n%s", diff)
			}
		})
	}
}

// The headers are put over payload that is sent already, also where they are
// longer than a share of it.
func TestForwardCutsIntoSmallShares(t *testing.T) {
	text := "a text that is somewhat longer than all of the headers in front of it, so that these overlap with one another"
	frame := ethernetFrame(0x86dd, finished(extended6(6, data(0x10, 5, 6, text)), 6, 40)...)
	sent, err := forward(frame, 67, lan.Unchecked) // 7 octets each
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	for n, b := range sent {
		p := view(t, b)
		if err := wrongSums(t, b); err != nil || p.Seq != 5+uint32(7*n) {
			t.Fatalf("segment %d: sequence number %d: %v", n, p.Seq, err)
		}
		got = append(got, b[p.Transport+20:][:p.Payload]...)
	}
	if string(got) != text {
		t.Errorf("got %q, want %q", got, text)
	}
}

func TestForwardErrors(t *testing.T) {
	long := strings.Repeat("x", 1500)
	arp := ethernetFrame(0x0806, arpBody(1)...)
	for _, c := range []struct {
		name  string
		frame []byte
		dst   ether.MAC
		want  string
	}{
		{"arp", arp, sleepyMAC, "forward: arp request from 192.168.7.2 to 192.168.7.3: expected an ip packet"},
		{"to all hosts", to(sleepy4), ether.Broadcast, "forward: destination ff:ff:ff:ff:ff:ff: expected a unicast MAC address"},
		{"a large datagram", ethernetFrame(0x0800, packet4(17, udp(1500))...), sleepyMAC,
			"forward: udp packet of 1528 octets from 192.168.7.2 to 192.168.7.3: expected at most the mtu, 1500 octets: only tcp can be cut"},
		{"a large fragment", ethernetFrame(0x0800, fragment4(packet4(6, data(0x10, 1, 2, long)), 0x2000)...), sleepyMAC, "a fragment"},
		{"a large stopover", ethernetFrame(0x86dd, extended6(43, with(extension(6, 8), 3, 1), data(0x10, 1, 2, long))...), sleepyMAC, "a stop of a source route"},
		{"a large syn", ethernetFrame(0x0800, packet4(6, data(2, 1, 2, long))...), sleepyMAC, "found the flags 0x02: only data can be cut"},
		{"a large rst", ethernetFrame(0x0800, packet4(6, data(0x14, 1, 2, long))...), sleepyMAC, "found the flags 0x14"},
		{"headers larger than the mtu", ethernetFrame(0x86dd, extended6(60, extension(6, 1440), data(0x10, 1, 2, long))...), sleepyMAC,
			"no room for data after 1500 octets of headers"},
		{"a jumbogram", ethernetFrame(0x86dd, with(extended6(0, []byte{6, 0, 0xc2, 4, 0, 1, 0, 0}, tcp(2)), 4, 0, 0)...), sleepyMAC, "found a jumbogram"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := view(t, c.frame)
			p.Frame = bytes.Clone(c.frame)
			err := lan.Forward(&p, porterMAC, c.dst, 1500, func([]byte) error {
				t.Error("a frame was sent")
				return nil
			})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestForwardEndsWhenSendingFails(t *testing.T) {
	full := errors.New("the queue is full")
	p := view(t, to(sleepy4))
	p.Frame = ethernetFrame(0x0800, finished(packet4(6, data(0x10, 1, 2, strings.Repeat("x", 4000))), 6, 20)...)
	p.Parse(p.Frame)
	sent := 0
	err := lan.Forward(&p, porterMAC, sleepyMAC, 1500, func([]byte) error {
		sent++
		if sent == 2 {
			return full
		}
		return nil
	})
	if err != full || sent != 2 {
		t.Errorf("error %v after %d frames, want %v after 2", err, sent, full)
	}
}

// A frame shorter than Ethernet's least is not filled up in place: what follows
// it in memory is not its own.
func TestForwardLeavesWhatFollowsAlone(t *testing.T) {
	all := append(ethernetFrame(0x0800, packet4(6, tcp(2))...), "something else"...)
	n := len(all) - len("something else")
	var p lan.Packet
	if v := p.Parse(all[:n]); v != lan.Accepted {
		t.Fatal(v)
	}
	if err := lan.Forward(&p, porterMAC, sleepyMAC, 1500, func(b []byte) error {
		if len(b) != 60 {
			t.Errorf("a frame of %d octets, want 60", len(b))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got := string(all[n:]); got != "something else" {
		t.Errorf("after the frame: %q", got)
	}
}

func TestForwardAllocatesNothing(t *testing.T) {
	frames := [][]byte{
		ethernetFrame(0x0800, finished(packet4(6, data(0x10, 1, 2, strings.Repeat("x", 40000))), 6, 20)...),
		ethernetFrame(0x86dd, extended6(17, udp(400))...),
		tagged(ethernetFrame(0x0800, packet4(6, data(0x18, 1, 2, "hello, machine"))...), 0),
	}
	buffer := make([]byte, 1<<16)
	var p lan.Packet
	sent := 0
	send := func(b []byte) error {
		sent += len(b)
		return nil
	}
	if n := testing.AllocsPerRun(100, func() {
		for _, f := range frames {
			p.Parse(buffer[:copy(buffer, f)])
			if lan.Forward(&p, porterMAC, sleepyMAC, 1500, send) != nil {
				sent = -1 << 30
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
	if sent <= 0 {
		t.Error("a frame was not forwarded")
	}
}

func BenchmarkForward(b *testing.B) {
	for name, size := range map[string]int{"64": 10, "1500": 1460, "64 KiB": 65000} {
		b.Run(name, func(b *testing.B) {
			frame := ethernetFrame(0x0800, finished(packet4(6, data(0x10, 1, 2, strings.Repeat("x", size))), 6, 20)...)
			buffer := make([]byte, len(frame))
			send := func([]byte) error { return nil }
			var p lan.Packet
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			for b.Loop() {
				copy(buffer, frame)
				p.Parse(buffer)
				if err := lan.Forward(&p, porterMAC, sleepyMAC, 1500, send); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
