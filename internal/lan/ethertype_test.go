package lan_test

import (
	"testing"

	"nightporter/internal/ether"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/lan"
)

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
