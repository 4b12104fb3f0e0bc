package e2e

import (
	"strings"
	"testing"
	"time"

	"nightporter/internal/machine"
	"nightporter/internal/promtest"
)

// TestPromtoolChecksMetrics: promtool accepts the metrics of a machine that slept, was woken by
// a knock, and is awake.
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

// TestReadyMetric: the metric follows the carrier of the interface, while the daemon answers
// scrapes.
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

// TestGuardNeededMetric: the metric is 1 when the host begins to forward packets.
func TestGuardNeededMetric(t *testing.T) {
	h := open(t, fastProbe)
	h.wantMetric(0, "nightporter_guard_needed")
	forward(t, h.lan.Porter())
	h.wantMetric(1, "nightporter_guard_needed")
}
