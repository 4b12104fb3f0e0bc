package lan_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/lan"
)

// TestForwardLeavesChecksums: what was damaged on its way to us is damaged when it
// arrives.
func TestForwardLeavesChecksums(t *testing.T) {
	const v4, v6 = 0x0800, 0x86dd
	for name, packet := range map[string][]byte{
		"tcp":                 with(packet4(6, data(0x18, 1, 2, "abc")), 36, 7, 7),
		"udp":                 with(packet4(17, udp(5)), 26, 7, 7),
		"echo request":        with(packet4(1, echo(8)), 22, 7, 7),
		"echo reply":          with(packet4(1, echo(0)), 22, 7, 7),
		"ipv6 tcp":            with(extended6(6, tcp(2)), 56, 7, 7),
		"ipv6 udp":            with(extended6(17, udp(5)), 46, 7, 7),
		"ipv6 echo request":   with(extended6(58, echo(128)), 42, 7, 7),
		"as long as the mtu":  packet4(6, data(0x10, 1, 2, strings.Repeat("x", 1460))),
		"the header, damaged": with(finished(packet4(6, tcp(2)), 6, 20), 10, 7, 7),
	} {
		for _, sum := range []lan.Checksum{lan.Unchecked, lan.Verified} {
			etherType := uint16(v4)
			if packet[0]>>4 == 6 {
				etherType = v6
			}
			sent, err := forward(ethernetFrame(etherType, packet...), 1500, sum)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if diff := cmp.Diff([][]byte{arrival(etherType, packet)}, sent); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
}

// TestForwardCutsWhatIsRight: the pieces need checksums of their own, which must
// not make right what was damaged. A card that merges segments leaves the
// checksum of the first, and says that it has verified all.
func TestForwardCutsWhatIsRight(t *testing.T) {
	const v4, v6 = 0x0800, 0x86dd
	text := strings.Repeat("x", 4000)
	right4, right6 := finished(packet4(6, data(0x10, 1, 2, text)), 6, 20), finished(extended6(6, data(0x10, 1, 2, text)), 6, 40)
	for _, c := range []struct {
		name      string
		etherType uint16
		packet    []byte
		want      map[lan.Checksum]bool
	}{
		{"right", v4, right4, map[lan.Checksum]bool{lan.Unchecked: true, lan.Verified: true, lan.Unfinished: true}},
		{"ipv6, right", v6, right6, map[lan.Checksum]bool{lan.Unchecked: true, lan.Verified: true, lan.Unfinished: true}},
		{"another checksum", v4, with(right4, 36, 7, 7), map[lan.Checksum]bool{lan.Verified: true, lan.Unfinished: true}},
		{"ipv6, another checksum", v6, with(right6, 56, 7, 7), map[lan.Checksum]bool{lan.Verified: true, lan.Unfinished: true}},
		{"a bit of the text", v4, with(right4, 2000, 'y'), map[lan.Checksum]bool{lan.Verified: true, lan.Unfinished: true}},
		{"a bit of the header", v4, with(right4, 8, 63), nil},
	} {
		for _, sum := range []lan.Checksum{lan.Unchecked, lan.Verified, lan.Unfinished} {
			sent, err := forward(ethernetFrame(c.etherType, c.packet...), 1500, sum)
			switch {
			case c.want[sum] && (err != nil || len(sent) != 3):
				t.Errorf("%s, %v: %d frames, error %v", c.name, sum, len(sent), err)
			case !c.want[sum] && (len(sent) > 0 || err == nil || !strings.Contains(err.Error(), "checksum is wrong")):
				t.Errorf("%s, %v: %d frames, error %v, want one about the checksum", c.name, sum, len(sent), err)
			}
			for _, frame := range sent {
				if err := wrongSums(t, frame); err != nil {
					t.Errorf("%s, %v: %v", c.name, sum, err)
				}
			}
		}
	}
}
