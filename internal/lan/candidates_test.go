package lan

import (
	"net"
	"slices"
	"testing"
)

// An error names the interfaces that may lead to a LAN, and others only where there
// are none.
func TestWorthNaming(t *testing.T) {
	of := func(name, kind string, flags net.Flags) candidate {
		return candidate{Interface: net.Interface{Name: name, Flags: flags}, ethernet: true, kind: kind}
	}
	lo := candidate{Interface: net.Interface{Name: "lo", Flags: net.FlagUp | net.FlagRunning | net.FlagLoopback}}
	wireguard := candidate{Interface: net.Interface{Name: "wg0", Flags: net.FlagUp}, kind: "wireguard"}
	card, down := of("enp3s0", "", net.FlagUp|net.FlagRunning), of("eth1", "", 0)
	bridge, container := of("br0", "bridge", net.FlagUp), of("veth12", "veth", net.FlagUp)
	queue, discard := of("ifb0", "ifb", 0), of("dummy0", "dummy", net.FlagUp)
	for _, tt := range []struct{ all, want []candidate }{
		{[]candidate{lo, card, bridge, down, container, queue, discard, wireguard}, []candidate{bridge, card}},
		{[]candidate{lo, down, queue, container}, []candidate{container}},
		{[]candidate{lo, down, queue}, []candidate{down, queue}},
		{[]candidate{wireguard, lo}, []candidate{wireguard}},
		{[]candidate{lo}, nil},
	} {
		var want []string
		for _, c := range tt.want {
			want = append(want, c.Name)
		}
		if got := worthNaming(tt.all); !slices.Equal(got, want) {
			t.Errorf("of %v: named %v, want %v", tt.all, got, want)
		}
	}
}
