package e2e

import (
	"strings"
	"testing"
	"time"

	"nightporter/internal/machine"
	"nightporter/internal/promtest"
)

// TestPromtoolChecksMetrics has promtool judge what the daemon shows of a machine
// that slept, was knocked at, and is awake again.
func TestPromtoolChecksMetrics(t *testing.T) {
	promtest.Need(t, promtest.Promtool)
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	h.connect(h.lan.Client(), nas4, 22)
	h.waitMove(0, "nas", "arriving", "awake", machine.WhyReady)
	status, page, err := h.daemon.Get(h.within(5*time.Second), "/metrics")
	h.must(err)
	if status != 200 || !strings.Contains(page, `nightporter_machine_ready_duration_seconds_count{machine="nas"} 1`) {
		t.Fatalf("/metrics: %d\n%s", status, page)
	}
	promtest.Run(t, strings.NewReader(page), promtest.Promtool, "check", "metrics")
}

// TestReadyMetric: an alert hears of an interface without a cable, although the
// daemon goes on answering scrapes.
func TestReadyMetric(t *testing.T) {
	h := open(t, fastProbe)
	h.wantMetric(1, "nightporter_ready")
	h.wantMetric(1, "nightporter_journal_healthy")
	n := h.daemon.Log.Len()
	h.must(h.lan.SetCable(h.lan.Porter(), false))
	h.waitInterfaceEvent(n, isOut, "eth0")
	h.wantMetric(0, "nightporter_ready")
	n = h.daemon.Log.Len()
	h.must(h.lan.SetCable(h.lan.Porter(), true))
	h.waitInterfaceEvent(n, isBack, "eth0")
	h.wantMetric(1, "nightporter_ready")
}

// TestGuardNeededMetric: it follows a host that begins to forward packets.
func TestGuardNeededMetric(t *testing.T) {
	h := open(t, fastProbe)
	h.wantMetric(0, "nightporter_guard_needed")
	forward(t, h.lan.Porter())
	h.wantMetric(1, "nightporter_guard_needed")
}
