package porter

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"nightporter/internal/lan"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
)

// told returns whom was told since the last look that an address is at our MAC,
// in the form that makes an entry.
func (x *fixture) told() (lines []string) {
	who := map[machine.MAC]string{clientMAC: "client", otherMAC: "other", tvMAC: "tv"}
	for _, s := range x.sent {
		if s.Kind == lan.ARPRequest && s.Dst != machine.Broadcast && s.From != s.To && s.SenderMAC == x.n.MAC() && s.Dst != nasMAC {
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
		x.hear(lantest.ARPRequest(otherMAC, machine.Broadcast, client2, unused4))
		x.hear(syn(nas4, 22))
		x.told()
		x.hear(lantest.ARPProbe(nasMAC, nas4))
		x.want(e, machine.Arriving)
		x.told()
		x.hear(lantest.ARPRequest(nasMAC, machine.Broadcast, nas4, unused4))
		if got := x.told(); slices.Contains(got, "other 10.77.0.20") {
			t.Errorf("told %q before it refuses anybody", got)
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
		x.pass(toldAgain + time.Second)
		if got := x.told(); !slices.Contains(got, "other 10.77.0.20") {
			t.Errorf("told %q after a while", got)
		}
		x.hear(lantest.ARPRequest(nasMAC, machine.Broadcast, nas4, unused4))
		if got := x.told(); !slices.Contains(got, "other 10.77.0.20") {
			t.Errorf("told %q when it speaks", got)
		}
	})
}
