package lan_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"nightporter/internal/ether"

	"golang.org/x/net/bpf"
	"pgregory.net/rapid"

	"nightporter/internal/lan"
)

// low returns the 31 bits of an address that the kernel filter compares.
func low(b []byte) uint32 { return binary.BigEndian.Uint32(b[len(b)-4:]) & 0x7fffffff }

func lowOf(ip netip.Addr) uint32 { return low(ip.AsSlice()) }

// wanted is the filter's rule in plain words. It tells what has to pass, and
// what may pass because it looks like that in 31 bits.
func wanted(in lan.Interest, frame []byte) (must, may bool) {
	if len(frame) < 14 {
		return false, false
	}
	etherType := binary.BigEndian.Uint16(frame[12:])
	if !slices.Contains([]uint16{0x0800, 0x0806, 0x86dd, 0x8100}, etherType) {
		return false, false
	}
	source := ether.MAC(frame[6:12])
	must = slices.Contains(in.MACs, source)
	may = slices.ContainsFunc(in.MACs, func(m ether.MAC) bool { return low(m[:]) == low(source[:]) })
	at, length := 0, 0
	switch {
	case etherType == 0x0806:
		return true, true
	case etherType == 0x8100 && len(frame) >= 16:
		tag := frame[14]&0x0f == 0 && frame[15] == 0
		return must || tag, may || tag
	case etherType == 0x0800:
		at, length = 30, 4
	case etherType == 0x86dd && len(frame) >= 21:
		if frame[20] == 58 {
			if len(frame) < 55 {
				return must, may
			}
			if frame[54] == 135 || frame[54] == 136 {
				return true, true
			}
		}
		at, length = 38, 16
	}
	if at == 0 || len(frame) < at+length {
		return must, may
	}
	to, _ := netip.AddrFromSlice(frame[at : at+length])
	for _, ip := range in.Addrs {
		if slices.Contains(in.Own, ip) || ip.Is4() != to.Is4() {
			continue
		}
		must = must || ip == to
		may = may || lowOf(ip) == lowOf(to)
	}
	return must, may
}

func vm(t rapid.TB, in lan.Interest, limit int) (*bpf.VM, bool) {
	t.Helper()
	code, whole := in.Body(limit)
	vm, err := bpf.NewVM(code)
	if err != nil {
		t.Fatalf("program: %v", err)
	}
	return vm, whole
}

func passes(t rapid.TB, vm *bpf.VM, frame []byte) bool {
	t.Helper()
	n, err := vm.Run(frame)
	if err != nil {
		t.Fatal(err)
	}
	if n != 0 && n < 1<<16 {
		t.Fatalf("%d octets pass, want the whole frame", n)
	}
	return n != 0
}

// drawAddr draws addresses that are alike, so that they meet.
func drawAddr(t *rapid.T) netip.Addr {
	number := rapid.Uint16Range(0, 400).Draw(t, "number")
	switch rapid.IntRange(0, 3).Draw(t, "family") {
	case 0:
		return netip.AddrFrom4([4]byte{192, 168, byte(number >> 8), byte(number)})
	case 1: // differs from the one above in the bit that the filter leaves out
		return netip.AddrFrom4([4]byte{64, 168, byte(number >> 8), byte(number)})
	case 2:
		return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 14: byte(number >> 8), 15: byte(number)})
	}
	return netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 14: byte(number >> 8), 15: byte(number)})
}

func drawNearMAC(t *rapid.T) ether.MAC {
	number := rapid.Uint16Range(0, 400).Draw(t, "number")
	high := rapid.SampledFrom([]byte{0x00, 0x80}).Draw(t, "high")
	return ether.MAC{2, rapid.ByteRange(0, 1).Draw(t, "vendor"), high, 0, byte(number >> 8), byte(number)}
}

func drawFrame(t *rapid.T) []byte {
	source, to := drawNearMAC(t), drawAddr(t)
	payload := rapid.SampledFrom([][]byte{tcp(2), udp(0), echo(128), echo(135), echo(136), echo(137)}).Draw(t, "payload")
	protocol := rapid.SampledFrom([]byte{6, 17, 58}).Draw(t, "protocol")
	var frame []byte
	if to.Is4() {
		body := packet4(protocol, payload)
		copy(body[16:], to.AsSlice())
		frame = ethernetFrame(0x0800, body...)
	} else {
		frame = ethernetFrame(0x86dd, packet6(client6, to, protocol, 255, payload)...)
	}
	copy(frame[6:], source[:])
	switch rapid.IntRange(0, 9).Draw(t, "form") {
	case 0:
		frame = tagged(frame, rapid.SampledFrom([]uint16{0, 0xe000, 1, 0x0fff}).Draw(t, "tag"))
	case 1:
		binary.BigEndian.PutUint16(frame[12:], rapid.SampledFrom([]uint16{0x0806, 0x88cc, 0x0026}).Draw(t, "type"))
	case 2:
		frame = frame[:rapid.IntRange(0, len(frame)).Draw(t, "length")]
	}
	return frame
}

func drawInterest(t *rapid.T) lan.Interest {
	return lan.Interest{
		Own:   rapid.SliceOfN(rapid.Custom(drawAddr), 0, 6).Draw(t, "own"),
		MACs:  rapid.SliceOfN(rapid.Custom(drawNearMAC), 0, 80).Draw(t, "macs"),
		Addrs: rapid.SliceOfN(rapid.Custom(drawAddr), 0, 160).Draw(t, "addrs"),
	}
}

func TestFilterIsTheRule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInterest(t)
		machine, whole := vm(t, in, 4000)
		if !whole {
			t.Fatal("a small set was given up")
		}
		for range 40 {
			frame := drawFrame(t)
			must, may := wanted(in, frame)
			switch got := passes(t, machine, frame); {
			case must && !got:
				t.Fatalf("dropped, but wanted: % x", frame)
			case got && !may:
				t.Fatalf("passed, but not wanted: % x", frame)
			}
		}
	})
}

// TestFilterGivesUpSets shrinks the room for the program. What is wanted passes
// all the same, and only the MACs' stage may let packets for us through.
func TestFilterGivesUpSets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInterest(t)
		limit := rapid.IntRange(0, 300).Draw(t, "limit")
		code, _ := in.Body(limit)
		machine, whole := vm(t, in, limit)
		all := len(code) == 1
		if len(code) > limit && !all {
			t.Fatalf("%d instructions, want at most %d", len(code), limit)
		}
		for range 20 {
			frame := drawFrame(t)
			must, may := wanted(in, frame)
			got := passes(t, machine, frame)
			switch {
			case must && !got:
				t.Fatalf("dropped, but wanted: % x", frame)
			case got && !may && whole:
				t.Fatalf("passed, but not wanted: % x", frame)
			case got && !may && !all && isFor(in.Own, frame):
				t.Fatalf("passed, but for us: % x", frame)
			}
		}
	})
}

func isFor(addrs []netip.Addr, frame []byte) bool {
	var p lan.Packet
	return p.Parse(frame) == lan.Accepted && p.Network != 0 && slices.Contains(addrs, p.To)
}

// crowd is n machines with an IPv4 and an IPv6 address each, spread as the
// addresses of real machines are.
func crowd(n int) lan.Interest {
	in := lan.Interest{Own: []netip.Addr{porter4, porter6}}
	for i := range n {
		h := uint32(i+1) * 2654435761 // spreads consecutive numbers over 32 bits
		mac := ether.MAC{0x52, 0x54, byte(h >> 24), byte(h >> 16), byte(h >> 8), byte(h)}
		in.MACs = append(in.MACs, mac)
		in.Addrs = append(in.Addrs,
			netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}),
			netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 12: mac[2], 13: mac[3], 14: mac[4], 15: mac[5]}))
	}
	return in
}

func TestFilterSize(t *testing.T) {
	for _, c := range []struct{ machines, most int }{{0, 40}, {1, 60}, {10, 110}, {100, 500}, {1024, 4096}} {
		in := crowd(c.machines)
		program, err := in.Program()
		if err != nil {
			t.Fatal(err)
		}
		if _, whole := in.Body(4096 - len(lan.Prologue())); !whole {
			t.Errorf("%d machines: a set was given up", c.machines)
		}
		t.Logf("%d machines with two addresses each: %d instructions", c.machines, len(program))
		if len(program) > c.most {
			t.Errorf("%d machines: %d instructions, want at most %d", c.machines, len(program), c.most)
		}
	}
	if _, whole := crowd(1400).Body(4096); whole {
		t.Error("1,400 machines fit: the limit is not what the documentation says")
	}
}

func TestFilterOfACrowd(t *testing.T) {
	in := crowd(1024)
	machine, _ := vm(t, in, 4096)
	for _, mac := range in.MACs {
		if !passes(t, machine, from(mac, to(porter4))) {
			t.Errorf("a frame from %v is dropped", mac)
		}
	}
	for _, ip := range in.Addrs {
		if !passes(t, machine, to(ip)) {
			t.Errorf("a packet for %v is dropped", ip)
		}
	}
	for _, ip := range append(in.Own, client4, client6, sleepy4, sleepy6) {
		if passes(t, machine, to(ip)) {
			t.Errorf("a packet for %v passes", ip)
		}
	}
}

// to builds a SYN to ip.
func to(ip netip.Addr) []byte {
	if ip.Is6() {
		return ethernetFrame(0x86dd, packet6(client6, ip, 6, 64, tcp(2))...)
	}
	body := packet4(6, tcp(2))
	copy(body[16:], ip.AsSlice())
	return ethernetFrame(0x0800, body...)
}

// An own address and a claimed one often have the same low half.
func TestFilterTellsOwnFromClaimed(t *testing.T) {
	in := crowd(100)
	claimed := netip.MustParseAddr("2001:db8::1")
	in.Own = append(in.Own, sleepy4)
	in.Addrs = append(in.Addrs, claimed, sleepy4)
	machine, _ := vm(t, in, 4096)
	for ip, want := range map[netip.Addr]bool{claimed: true, porter6: false, sleepy4: false} {
		if got := passes(t, machine, to(ip)); got != want {
			t.Errorf("a packet for %v passes: %v, want %v", ip, got, want)
		}
	}
}

func BenchmarkFilter(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1024} {
		b.Run(fmt.Sprintf("compile/%d", n), func(b *testing.B) {
			in := crowd(n)
			for b.Loop() {
				if _, err := in.Program(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("own packet/%d", n), func(b *testing.B) {
			machine, _ := vm(b, crowd(n), 4096)
			frame := to(porter4)
			for b.Loop() {
				if passes(b, machine, frame) {
					b.Fatal("our own packet passes")
				}
			}
		})
	}
}
