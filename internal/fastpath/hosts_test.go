package fastpath

import (
	"net/netip"
	"slices"
	"testing"

	"nightporter/internal/ether"
	"nightporter/internal/lantest"
)

// TestAttackHostsAreCrowdedOut: a host speaks from invented MACs, or for many addresses
// from its own. A real host that was heard before stays known.
func TestAttackHostsAreCrowdedOut(t *testing.T) {
	for name, mac := range map[string]func(i int) ether.MAC{
		"invented MACs": func(i int) ether.MAC { return ether.MAC{6, 0, 0, 0, byte(i >> 8), byte(i)} },
		"one MAC":       func(int) ether.MAC { return intruderMAC },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, 16, nas())
			f.Handle(lantest.ARPRequest(clientMAC, ether.Broadcast, client4, free4))
			f.Handle(lantest.Solicit(clientMAC, client6, free6))
			for i := range 10 * maxHosts {
				f.Handle(lantest.ARPRequest(mac(i), ether.Broadcast, netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}), free4))
				six := free6.As16()
				six[12], six[13] = byte(i>>8), byte(i)
				f.Handle(lantest.Solicit(mac(i), netip.AddrFrom16(six), free6))
			}
			for six, ip := range map[bool]netip.Addr{false: client4, true: client6} {
				hosts := f.Hosts(six, maxHosts)
				if !slices.Contains(hosts, Host{clientMAC, ip}) {
					t.Errorf("the client at %v is not known any more", ip)
				}
				of := func(h Host) bool { return h.MAC == intruderMAC }
				if i := slices.IndexFunc(hosts, of); i >= 0 && slices.IndexFunc(hosts[i+1:], of) >= 0 {
					t.Error("one MAC is several hosts")
				}
			}
		})
	}
}
