package lan_test

import (
	"bytes"
	"net/netip"
	"testing"

	"nightporter/internal/ether"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"pgregory.net/rapid"

	"nightporter/internal/lan"
)

func drawMAC(t *rapid.T, label string) ether.MAC {
	return ether.MAC(rapid.SliceOfN(rapid.Byte(), 6, 6).Draw(t, label))
}

// drawPassword draws a SecureOn password of one of the three lengths there are.
func drawPassword(t *rapid.T) []byte {
	n := rapid.SampledFrom([]int{0, 4, 6}).Draw(t, "password length")
	return rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "password")
}

// isMagic looks for a magic packet at the end of b, as a NIC would.
func isMagic(b []byte, mac ether.MAC, password []byte) bool {
	rest, ok := bytes.CutSuffix(b, password)
	for range 16 {
		if !ok {
			return false
		}
		rest, ok = bytes.CutSuffix(rest, mac[:])
	}
	return ok && bytes.HasSuffix(rest, ether.Broadcast[:])
}

func TestMagicPacket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mac, src, dst := drawMAC(t, "mac"), drawMAC(t, "src"), drawMAC(t, "dst")
		password := drawPassword(t)
		payload := lan.MagicPacket(mac, password)
		if len(payload) != 102+len(password) || !isMagic(payload, mac, password) {
			t.Fatalf("payload % x", payload)
		}
		frame := lan.MagicFrame(src, dst, mac, password)
		var p lan.Packet
		if v := p.Parse(frame); v != lan.Accepted || p.Kind != lan.Other || p.Src != src || p.Dst != dst {
			t.Fatalf("verdict %v, %+v", v, p)
		}
		if frame[12] != 0x08 || frame[13] != 0x42 || !bytes.Equal(frame[14:], payload) {
			t.Fatalf("frame % x", frame)
		}
	})
}

func TestMagicUDPFrame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mac, src, password := drawMAC(t, "mac"), drawMAC(t, "src"), drawPassword(t)
		n := rapid.SampledFrom([]int{4, 16}).Draw(t, "address length")
		from, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "from"))
		to, dst := netip.MustParseAddr("255.255.255.255"), ether.Broadcast
		if from.Is6() {
			to, dst = allNodes, allNodesMAC
		}
		frame := lan.MagicUDPFrame(src, from, mac, password)
		var p lan.Packet
		if v := p.Parse(frame); v != lan.Accepted || p.Kind != lan.UDP || p.ToPort != 9 ||
			p.Src != src || p.Dst != dst || p.From != from || p.To != to {
			t.Fatalf("verdict %v, %+v", v, p)
		}
		if datagram := frame[p.Transport:]; !isMagic(datagram, mac, password) || len(datagram) != 8+102+len(password) {
			t.Fatalf("datagram % x", datagram)
		}
		if sum := udpSum(&p); sum != 0xffff {
			t.Fatalf("UDP checksum adds up to %#04x, want 0xffff", sum)
		}
	})
}

// udpSum adds up a datagram and its pseudo-header; with a right checksum that
// makes 0xffff (RFC 1071).
func udpSum(p *lan.Packet) uint32 {
	datagram := p.Frame[p.Transport:]
	b := append(p.From.AsSlice(), p.To.AsSlice()...)
	b = append(b, 0, 17, byte(len(datagram)>>8), byte(len(datagram)))
	return onesSum(append(b, datagram...))
}

func onesSum(b []byte) uint32 {
	var sum uint32
	for i, octet := range b {
		sum += uint32(octet) << (8 * ((i + 1) % 2))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return sum
}

func TestMagicUDPFrameIPv4Header(t *testing.T) {
	for _, from := range []netip.Addr{porter4, {}} {
		frame := lan.MagicUDPFrame(porterMAC, from, sleepyMAC, nil)
		h, err := icmp.ParseIPv4Header(frame[14:])
		if err != nil {
			t.Fatal(err)
		}
		if h.TTL != 64 || h.Flags != ipv4.DontFragment || h.TotalLen != len(frame)-14 {
			t.Errorf("header %v", h)
		}
		if sum := onesSum(frame[14:34]); sum != 0xffff {
			t.Errorf("header checksum adds up to %#04x, want 0xffff", sum)
		}
	}
	if got := view(t, lan.MagicUDPFrame(porterMAC, netip.Addr{}, sleepyMAC, nil)).From; got != netip.IPv4Unspecified() {
		t.Errorf("from %v without an address, want 0.0.0.0", got)
	}
}
