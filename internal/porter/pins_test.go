package porter

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
)

// told returns which hosts learnt since the last call that an address is at our MAC,
// in the form that makes an entry.
func (x *fixture) told() (lines []string) {
	who := map[ether.MAC]string{clientMAC: "client", otherMAC: "other", tvMAC: "tv"}
	for _, s := range x.sent {
		if s.Kind == lan.ARPRequest && s.Dst != ether.Broadcast && s.From != s.To && s.SenderMAC == x.n.MAC() && s.Dst != nasMAC {
			lines = append(lines, fmt.Sprintf("%s %v", who[s.Dst], s.From))
		}
	}
	x.forgetSent()
	slices.Sort(lines)
	return lines
}

// TestNewcomersAreTold before they ask, where the machine would refuse them: once it
// refuses, and whenever it says that it has an address. Machines that sleep are not.
func TestNewcomersAreTold(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		x.asleep(tv())
		e := x.asleep(nas())
		client2 := netip.MustParseAddr("10.77.0.11")
		x.hear(lantest.ARPRequest(otherMAC, ether.Broadcast, client2, unused4))
		x.hear(syn(nas4, 22))
		x.told()
		x.hear(lantest.ARPProbe(nasMAC, nas4))
		x.want(e, machine.Arriving)
		x.told()
		x.hear(lantest.ARPRequest(nasMAC, ether.Broadcast, nas4, unused4))
		if got := x.told(); slices.Contains(got, "other 10.77.0.20") {
			t.Errorf("told %q before it refuses a connection", got)
		}
		refusal := lantest.Segment(nasMAC, nas4, porter4, lan.ProbePort(0), lantest.RST|lantest.ACK)
		refusal.FromPort, refusal.Ack = 22, x.n.reader.Sequence()+1
		x.hear(refusal)
		if got := x.told(); !slices.Equal(got, []string{"other 10.77.0.20"}) {
			t.Errorf("told %q when it refuses", got)
		}
		x.hear(refusal)
		if got := x.told(); got != nil {
			t.Errorf("told %q a second time", got)
		}
		x.up(nas())
		x.pass(refusalInterval + time.Second)
		if got := x.told(); !slices.Contains(got, "other 10.77.0.20") {
			t.Errorf("told %q after a while", got)
		}
		x.hear(lantest.ARPRequest(nasMAC, ether.Broadcast, nas4, unused4))
		if got := x.told(); !slices.Contains(got, "other 10.77.0.20") {
			t.Errorf("told %q when it speaks", got)
		}
	})
}

// hearsHosts has as many hosts speak on the LAN, each with an address of both families.
func hearsHosts(x *fixture, hosts int) {
	for i := range hosts {
		mac, ip4 := invented(i, false)
		_, ip6 := invented(i, true)
		x.hear(lantest.ARPRequest(mac, ether.Broadcast, ip4, unused4))
		x.hear(lantest.Advertise(mac, ether.MAC{0x33, 0x33, 0, 0, 0, 1}, mac, ip6))
	}
}

// about returns how many hosts were pinned for each address since the last call.
func about(x *fixture) (hosts map[netip.Addr]int) {
	hosts = make(map[netip.Addr]int)
	for _, s := range x.sent {
		if s.Dst != nasMAC && s.SenderMAC == x.n.MAC() && (s.From == nas4 || s.From == nas6) {
			hosts[s.From]++
		}
	}
	x.forgetSent()
	return hosts
}

// A machine that announces itself again, as soon as the hosts on the LAN were pinned for both
// of its addresses, has them told again at once: until then it refuses newcomers.
func TestNewcomersAreToldAgainAtOnce(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		hearsHosts(x, 20)
		x.refusing(nas6)
		x.pass(refusalInterval + 1500*time.Millisecond) // the ration is whole again
		about(x)
		for _, ip := range []netip.Addr{nas4, nas6, nas6} {
			x.hear(speaks(ip))
			if got := about(x); got[ip] < 20 {
				t.Errorf("after it spoke of %v the hosts were pinned %v times for its addresses", ip, got)
			}
		}
	})
}

// Where the ration does not suffice for all hosts, the address that the machine spoke of
// last comes first, and the hosts that were not told the last time.
func TestNewcomersOfTheLatestAddressComeFirst(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		hearsHosts(x, maxPinnedHosts)
		x.refusing(nas6)
		x.pass(3 * time.Second)
		about(x)
		x.hear(speaks(nas4))
		x.pass(200 * time.Millisecond)
		about(x)
		x.hear(speaks(nas6))
		x.pass(time.Second)
		if got := about(x); got[nas6] < unicastRate/2 || got[nas4] > 0 {
			t.Errorf("in the second after it spoke of %v hosts were pinned %v times for its addresses", nas6, got)
		}
		x.pass(5 * time.Second)
		if got := about(x); got[nas4] == 0 {
			t.Errorf("later hosts were pinned %v times for its addresses", got)
		}
	})
}

// An address that is left to another host is not told to be at our MAC, although the machine
// speaks for it.
func TestNewcomersAreNotToldOfAConcededAddress(t *testing.T) {
	withLoop(t, nil, func(x *fixture) {
		hearsHosts(x, 20)
		e := x.asleep(nas())
		x.pass(time.Minute)
		x.hear(lantest.Advertise(otherMAC, ether.MAC{0x33, 0x33, 0, 0, 0, 1}, otherMAC, nas6))
		if !e.Conceded(nas6) {
			t.Fatalf("the addresses are %v", e.Status().Addresses)
		}
		x.hear(syn(nas4, 22))
		x.upAt(e, nas4)
		about(x)
		x.hear(speaks(nas6))
		x.pass(time.Second)
		x.want(e, machine.Arriving)
		if got := about(x); got[nas6] > 0 {
			t.Errorf("hosts were pinned %v times for its addresses", got)
		}
	})
}
