package e2e

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightporter/internal/lab"
	"nightporter/internal/machine"
)

// secondInterfaces are the kinds of a second interface, on segment 10.
var secondInterfaces = []struct {
	name, second string
	add          func(*lab.LAN, *lab.Host, uint16, ...netip.Prefix) (string, error)
}{
	{"card", "eth10", (*lab.LAN).AddLeg},
	{"VLAN", "eth0.10", (*lab.LAN).AddVLAN},
}

// TestTwoNetworks: the porter claims a machine on each of two networks, the second on a
// separate card or in a VLAN. While one interface is gone the other works.
func TestTwoNetworks(t *testing.T) {
	t.Parallel()
	for _, c := range secondInterfaces {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx, network := newLAN(t)
			addTo := func(l *lab.LAN) error {
				_, err := c.add(l, l.Porter(), 10, netip.MustParsePrefix("10.80.0.2/24"), netip.MustParsePrefix("fd80::2/64"))
				return err
			}
			if err := addTo(network); errors.Is(err, unix.EOPNOTSUPP) {
				t.Skip("this kernel has no VLANs:", err)
			} else if err != nil {
				t.Fatal(err)
			}
			twoNetworks(openOn(ctx, t, network, fastProbe+"interfaces: [eth0, "+c.second+"]\n"), c.second, addTo)
		})
	}
}

func twoNetworks(h *harness, second string, add func(*lab.LAN) error) {
	nas, porter := h.addNAS(nil), h.lan.Porter()
	attic4, attic6 := netip.MustParseAddr("10.80.0.20"), netip.MustParseAddr("fd80::20")
	peer, err := h.lan.AddHostIn(10, "peer", netip.MustParsePrefix("10.80.0.10/24"), netip.MustParsePrefix("fd80::10/64"))
	h.must(err)
	attic := h.addNAS(func(c *lab.MachineConfig) {
		c.Name, c.Segment = "attic", 10
		c.Addrs = []netip.Prefix{netip.PrefixFrom(attic4, 24), netip.PrefixFrom(attic6, 64)}
	})
	sleep := func() {
		h.Helper()
		n := h.daemon.Log.Len()
		answer, err := h.daemon.RegisterIn(h.within(10*time.Second), attic.Host, netip.MustParseAddr("10.80.0.2"),
			[]string{registration("attic", attic.MAC(), monitored{attic4, []any{22}}, monitored{attic6, []any{22}})}, 0)
		h.must(err)
		if answer != "OK." {
			h.Fatalf("registration answered %q", answer)
		}
		h.must(attic.Sleep(h.ctx))
		h.waitMove(n, "attic", "settling", "asleep", machine.WhySilent)
	}
	h.putToSleep(nas)
	sleep()
	h.call(h.lan.Client(), nas, nas4, 22)
	h.call(peer, attic, attic4, 22)
	h.putToSleep(nas)
	sleep()
	h.call(peer, attic, attic6, 22)

	sleep()
	n := h.daemon.Log.Len()
	h.must(porter.RemoveLink(second))
	h.waitInterfaceEvent(n, isOut, second)
	waitUnready(h, "interface "+second+" is gone")
	h.call(h.lan.Client(), nas, nas6, 22)
	h.must(add(h.lan))
	h.waitInterfaceEvent(n, restate, second)
	wantReady(h)
	h.call(peer, attic, attic4, 22)

	// The parent interface takes its VLANs with it.
	if !strings.Contains(second, ".") {
		return
	}
	sleep()
	n = h.daemon.Log.Len()
	h.must(porter.SetLink(lab.Interface, false))
	h.waitInterfaceEvent(n, isOut, second)
	h.must(porter.SetLink(lab.Interface, true))
	h.waitInterfaceEvent(n, restate, second)
	h.call(peer, attic, attic4, 22)
}
