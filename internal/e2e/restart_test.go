package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
	"nightporter/internal/machine"
)

// TestSleepersSurviveKill: a sleeping machine is claimed again and woken by the next knock, and
// its counters survive.
func TestSleepersSurviveKill(t *testing.T) {
	t.Parallel()
	for _, end := range []struct {
		name string
		end  func(*harness)
	}{
		{"kill -9", func(h *harness) { h.daemon.Kill() }},
		{"SIGTERM", func(h *harness) {
			if _, err := h.daemon.Stop(h.within(10 * time.Second)); err != nil {
				h.Fatal(err)
			}
		}},
	} {
		t.Run(end.name, func(t *testing.T) {
			h := open(t, fastProbe)
			nas := h.addNAS(nil)
			h.putToSleep(nas)
			h.connect(h.lan.Client(), nas4, 22)
			h.waitMove(0, "nas", "arriving", "awake", machine.WhyReady)
			h.putToSleep(nas)
			h.waitStored("asleep", 2)
			slept := h.metric(`nightporter_machine_sleep_seconds_total{machine="nas"}`)
			attempts := h.metric(`nightporter_machine_wake_attempts_total{machine="nas"}`)
			began := time.Now()
			end.end(h)
			h.restart(fastProbe)
			h.waitReclaimed("nas")
			away := time.Since(began).Seconds()
			h.wantNeighbor(h.lan.Client(), nas4, h.lan.Porter().MAC())
			h.wantMetric(1, `nightporter_machine_wakes_total{machine="nas", trigger="tcp"}`)
			h.wantMetric(attempts, `nightporter_machine_wake_attempts_total{machine="nas"}`)
			if got := h.metric(`nightporter_machine_sleep_seconds_total{machine="nas"}`); got < slept+away {
				t.Errorf("slept %v s before the restart, which took %v s, and %v s after it", slept, away, got)
			}
			if got := h.connect(h.lan.Client(), nas6, 22); got != lab.Banner("nas") {
				t.Errorf("the service said %q", got)
			}
			h.wantMetric(2, `nightporter_machine_wakes_total{machine="nas", trigger="tcp"}`)
			if happened(nas, lab.DADFailed) {
				t.Error("duplicate address detection failed")
			}
		})
	}
}

// TestExternalStartWithoutPorter: a machine that started without the porter is not claimed, and
// the metric of its sleep does not decrease.
func TestExternalStartWithoutPorter(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	h.waitStored("asleep", 1)
	const sleep = `nightporter_machine_sleep_seconds_total{machine="nas"}`
	shown := 0.0
	for deadline := time.Now().Add(5 * time.Second); shown < 1 && time.Now().Before(deadline); shown = h.metric(sleep) {
		time.Sleep(50 * time.Millisecond)
	}
	h.daemon.Kill()
	h.must(nas.PowerOn())
	h.waitEvent(nas, lab.ServiceUp)
	h.restart(fastProbe)
	h.waitMove(0, "nas", "settling", "awake", machine.WhyStarted)
	h.wantNeighbor(h.lan.Client(), nas4, nas.MAC())
	h.connect(h.lan.Client(), nas4, 22)
	if got := h.metric(sleep); got < shown || got > shown+10 {
		t.Errorf("slept %v s, of which %v were shown before the crash", got, shown)
	}
	h.wantMetric(1, `nightporter_machine_state{machine="nas", state="awake"}`)
	h.wantMetric(0, `nightporter_machine_wakes_total{machine="nas", trigger="tcp"}`)
}

// TestAcknowledgedRegistrationSurvives: the daemon is killed right after it has answered OK.
func TestAcknowledgedRegistrationSurvives(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	h.register(nas.Host, nasRegistration(nas))
	h.daemon.Kill()
	h.must(nas.Sleep(h.ctx))
	h.restart(fastProbe)
	h.waitReclaimed("nas")
	h.connect(h.lan.Client(), nas4, 22)
}

// openRegistration lets the client register machines that have no host, many at once.
const openRegistration = "registration: {trust: open, max_connections: 256, rate: 0}\n"

func sleeperName(i int) string     { return fmt.Sprintf("sleeper%d", i) }
func sleeperAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 80, byte(1 + i>>8), byte(i)}) }

// addSleepers registers count machines without a host, and waits until they are claimed.
func addSleepers(h *harness, count int) {
	h.Helper()
	h.must(h.lan.Porter().AddAddr(h.ctx, netip.MustParsePrefix("10.80.0.2/16")))
	var group errgroup.Group
	group.SetLimit(12)
	n := h.daemon.Log.Len()
	for i := range count {
		group.Go(func() error { return addSleeper(h, i) })
	}
	h.must(group.Wait())
	waitAllMoved(h, n, "asleep", count)
}

func addSleeper(h *harness, i int) error {
	mac := ether.MAC{2, 0x80, 0, 0, byte(i >> 8), byte(i)}
	answer, err := h.daemon.Register(h.ctx, h.lan.Client(), registration(sleeperName(i), mac, monitored{sleeperAddr(i), []any{"22/tcp"}}))
	if err == nil && answer != "OK." {
		err = fmt.Errorf("%s: %s", sleeperName(i), answer)
	}
	return err
}

// TestAThousandSleepersSurviveKill: a thousand machines are claimed again soon after a kill.
func TestAThousandSleepersSurviveKill(t *testing.T) {
	onlyVariants(t)
	const count = 1000
	conf := fastProbe + openRegistration
	h := openFor(t, conf, 2*time.Minute)
	addSleepers(h, count)
	// The answer to one more registration comes when everything before it is stored. A machine
	// that is settling at the kill is claimed later.
	h.must(addSleeper(h, count))
	h.daemon.Kill()
	began := time.Now()
	h.restart(conf)
	last := waitAllMoved(h, 0, "asleep", count)
	t.Logf("%d machines claimed again %v after the start", count, last.Sub(began).Round(time.Millisecond))
}
