package porter

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/config"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// One round of magic packets: which frames, from whom and to whom.
func TestMagicFrames(t *testing.T) {
	overnight(t, nil, func(h *night) {
		spec := nas()
		spec.Password = []byte{1, 2, 3, 4}
		self := h.n.MAC()
		for _, c := range []struct {
			transports []string
			want       []machine.MAC // destinations
		}{
			{[]string{config.TransportEthernet}, []machine.MAC{machine.Broadcast, nasMAC}},
			{[]string{config.TransportUDP}, []machine.MAC{machine.Broadcast}},
			{[]string{config.TransportEthernet, config.TransportUDP}, []machine.MAC{machine.Broadcast, nasMAC, machine.Broadcast}},
		} {
			var got []machine.MAC
			for _, f := range h.n.magicFrames(spec, c.transports) {
				p := parsed(t, f, nil)
				got = append(got, p.Dst)
				if p.Src != self || !strings.HasSuffix(string(f), string(lan.MagicPacket(nasMAC, spec.Password))) {
					t.Errorf("%v: a frame from %v of %d octets", c.transports, p.Src, len(f))
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%v (-want +got):\n%s", c.transports, diff)
			}
		}
		// A magic datagram comes from an IPv4 address if there is one.
		if ip, ok := h.n.magicSource(); !ok || ip != porter4 {
			t.Errorf("from %v", ip)
		}
		h.n.network.Store(&lan.Network{Prefixes: []netip.Prefix{netip.MustParsePrefix("fe80::2/64")}})
		if ip, ok := h.n.magicSource(); !ok || ip != porter6 {
			t.Errorf("from %v without IPv4", ip)
		}
		h.n.network.Store(&lan.Network{})
		if frames := h.n.magicFrames(spec, []string{config.TransportUDP}); frames != nil {
			t.Errorf("%d datagrams from an interface without an address", len(frames))
		}
	})
}
