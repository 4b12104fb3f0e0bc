package lantest

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
)

// A SYN frame is accepted by the parser, and its checksums verify.
func TestSYNFrame(t *testing.T) {
	client := ether.MAC{2, 0x77, 0, 0, 0, 3}
	for _, ends := range [][2]string{{"10.77.0.3:40000", "10.77.0.20:22"}, {"[fd77::3]:40000", "[fd77::20]:22"}} {
		from, to := netip.MustParseAddrPort(ends[0]), netip.MustParseAddrPort(ends[1])
		frame := SYNFrame(client, PorterMAC, from, to)
		var p lan.Packet
		if v := p.Parse(frame); v != lan.Accepted || !p.SYN() || p.Refusal() != lan.Taken {
			t.Fatalf("%v: %v, %+v, %v", to, v, p, p.Refusal())
		}
		if p.Src != client || p.Dst != PorterMAC || p.From != from.Addr() || p.FromPort != from.Port() || p.To != to.Addr() || p.ToPort != to.Port() {
			t.Errorf("%v: parsed %+v", to, p)
		}
		tcp := frame[p.Transport:]
		pseudo := append(append(from.Addr().AsSlice(), to.Addr().AsSlice()...), 0, unix.IPPROTO_TCP, 0, byte(len(tcp)))
		if got := sum(append(pseudo, tcp...)); got != 0xffff {
			t.Errorf("%v: the checksum is off by %#x", to, ^got)
		}
	}
}
