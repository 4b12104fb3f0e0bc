package porter

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"nightporter/internal/ether"
)

func TestRouters(t *testing.T) {
	var (
		gateway, other, free = netip.MustParseAddr("10.77.0.254"), netip.MustParseAddr("10.77.0.201"), netip.MustParseAddr("10.77.0.30")
		routerMAC, thiefMAC  = ether.MAC{2, 1, 1, 1, 1, 1}, ether.MAC{2, 6, 6, 6, 6, 6}
		start                = time.Now()
		before               = map[netip.Addr]ether.MAC{gateway: routerMAC, other: routerMAC, free: thiefMAC}
		after                = map[netip.Addr]ether.MAC{other: thiefMAC, free: thiefMAC} // the router restarts
	)
	after1, after2 := start.Add(routersInterval), start.Add(routersInterval+5*time.Minute)
	var r routers
	if got := r.learn(start, []netip.Addr{gateway}, before, nil); !slices.Equal(got, []ether.MAC{routerMAC}) {
		t.Errorf("the gateways are at %v", got)
	}
	if r.has(other, start) {
		t.Error("it is remembered at once: one forged frame would do")
	}
	r.learn(after1, []netip.Addr{gateway}, nil, before)
	if got := r.learn(after2, []netip.Addr{gateway}, after); !slices.Equal(got, []ether.MAC{routerMAC}) {
		t.Errorf("while the router restarts the gateways are at %v", got)
	}
	if !r.has(other, after2) || !r.has(gateway, after2) || r.has(free, after2) {
		t.Error("what the router had is forgotten, or what it had not is its own")
	}
	if late := after1.Add(routersMemory); r.has(other, late) || len(r.learn(late, []netip.Addr{gateway}, after)) > 0 {
		t.Error("it is remembered for ever")
	}
}

// A flood of invented neighbors does not push out what is known for long.
func TestRoutersAreBounded(t *testing.T) {
	gateway, mac := netip.MustParseAddr("10.77.0.254"), ether.MAC{2, 1, 1, 1, 1, 1}
	var r routers
	now := time.Now()
	for range 3 {
		r.learn(now, []netip.Addr{gateway}, map[netip.Addr]ether.MAC{gateway: mac})
		now = now.Add(routersInterval)
	}
	for i := range 1000 {
		all := map[netip.Addr]ether.MAC{gateway: {2, 2, 0, 0, byte(i >> 8), byte(i)}}
		for j := range 100 {
			all[netip.AddrFrom4([4]byte{10, 88, byte(i), byte(j)})] = all[gateway]
		}
		r.learn(now.Add(time.Duration(i)), []netip.Addr{gateway}, all)
	}
	if len(r.macs) > maxRouters || len(r.addrs) > maxRouters {
		t.Errorf("%d MACs and %d addresses are remembered", len(r.macs), len(r.addrs))
	}
	if !r.has(gateway, now) {
		t.Error("the gateway was forgotten")
	}
}
