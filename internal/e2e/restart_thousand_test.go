package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"nightporter/internal/ether"
)

// The networks of the thousand machines, with the porter's addresses.
var (
	sleepers4 = netip.MustParsePrefix("10.80.0.2/16")
	sleepers6 = netip.MustParsePrefix("fd80::2/64")
)

func sleeperAddr6(i int) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf("fd80::1:%x", i+1))
}

// TestAThousandSleepersAndTheNetwork: the porter is killed and starts before its network. It
// claims each address within 2 s of its network, and no total decreases. With -soak IPv6 comes
// a minute late, and the 2 s are asserted. Otherwise the limit is three times as long, because
// tests of other packages may run.
func TestAThousandSleepersAndTheNetwork(t *testing.T) {
	onlyVariants(t)
	const count = 1000
	ready := time.Duration(soak(6, 2)) * time.Second
	conf := fastProbe + openRegistration + "interfaces: [eth0]\n"
	h := openFor(t, conf, 5*time.Minute)
	porter := h.lan.Porter()
	for _, p := range []netip.Prefix{sleepers4, sleepers6} {
		h.must(porter.AddAddr(h.ctx, p))
	}
	n := h.daemon.Log.Len()
	var group errgroup.Group
	group.SetLimit(12)
	for i := range count {
		group.Go(func() error {
			mac, ports := ether.MAC{2, 0x80, 0, 0, byte(i >> 8), byte(i)}, []any{"22/tcp"}
			answer, err := h.daemon.Register(h.ctx, h.lan.Client(), registration(sleeperName(i), mac, monitored{sleeperAddr(i), ports}, monitored{sleeperAddr6(i), ports}))
			if err == nil && answer != "OK." {
				err = fmt.Errorf("%s: %s", sleeperName(i), answer)
			}
			return err
		})
	}
	h.must(group.Wait())
	waitAllMoved(h, n, "asleep", count)
	waitClaimed(h, time.Now(), ready, sleepers4, count)
	waitClaimed(h, time.Now(), ready, sleepers6, count)
	slept := totalSleep(h, count)

	h.daemon.Kill() // its network is there at once
	h.restart(conf)
	began := time.Now()
	t.Logf("claimed %v (IPv4) and %v (IPv6) after the start", waitClaimed(h, began, ready, sleepers4, count), waitClaimed(h, began, ready, sleepers6, count))
	slept = wantSleepNotLess(h, slept, count)

	h.daemon.Kill() // its network comes late
	for _, p := range []netip.Prefix{sleepers4, porter4} {
		h.must(porter.DelAddr(p))
	}
	h.must(porter.Sysctl("net/ipv6/conf/eth0/disable_ipv6", "1"))
	h.restartUntil(conf, "/-/healthy")
	time.Sleep(10 * time.Second)
	for _, p := range []netip.Prefix{porter4, sleepers4} {
		h.must(porter.AddAddr(h.ctx, p))
	}
	t.Logf("claimed %v after IPv4, which was 10 s late", waitClaimed(h, time.Now(), ready, sleepers4, count))
	slept = wantSleepNotLess(h, slept, count)
	time.Sleep(time.Duration(soak(5, 50)) * time.Second)
	h.must(porter.Sysctl("net/ipv6/conf/eth0/disable_ipv6", "0"))
	for _, p := range []netip.Prefix{porter6, sleepers6} {
		h.must(porter.AddAddr(h.ctx, p))
	}
	t.Logf("claimed %v after IPv6, which was later", waitClaimed(h, time.Now(), ready, sleepers6, count))
	wantSleepNotLess(h, slept, count)
}

// waitClaimed waits until count addresses of a network are claimed, and returns the time since
// began.
func waitClaimed(h *harness, began time.Time, limit time.Duration, network netip.Prefix, count int) time.Duration {
	h.Helper()
	for {
		asked := time.Now()
		claimed := 0
		for _, m := range knownMachines(h) {
			for _, a := range m.Addresses {
				if a.Standing == "claimed" && network.Masked().Contains(a.IP) {
					claimed++
				}
			}
		}
		switch {
		case claimed == count:
			return asked.Sub(began).Round(time.Millisecond)
		case asked.Sub(began) > limit:
			h.Fatalf("%d of %d addresses of %v are claimed %v after their network", claimed, count, network, limit)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// totalSleep returns the sum of the sleep of all machines, and expects count of them.
func totalSleep(h *harness, count int) (slept float64) {
	h.Helper()
	all := knownMachines(h)
	if len(all) != count {
		h.Fatalf("%d machines are known, want %d", len(all), count)
	}
	for _, m := range all {
		slept += m.SleptSeconds
	}
	return slept
}

// wantSleepNotLess expects that the total sleep has not decreased, and returns it.
func wantSleepNotLess(h *harness, before float64, count int) float64 {
	h.Helper()
	now := totalSleep(h, count)
	if now < before {
		h.Errorf("slept %v s in all, and %v before the restart", now, before)
	}
	return now
}
