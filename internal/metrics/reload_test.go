package metrics_test

import (
	"testing"
	"time"
)

// The start counts as a reload; one that fails leaves the time of the last good one.
func TestReloaded(t *testing.T) {
	h := new(fakePorter)
	h.set(midnight)
	m, reg := newMetrics(t, h.source())
	want := func(successful float64, at time.Time) {
		t.Helper()
		if got := value(t, reg, "nightporter_config_last_reload_successful"); got != successful {
			t.Errorf("successful: %v, want %v", got, successful)
		}
		if got := value(t, reg, "nightporter_config_last_reload_success_timestamp_seconds"); got != float64(at.Unix()) {
			t.Errorf("at %v, want %v", got, at.Unix())
		}
	}
	want(1, midnight)
	h.set(midnight.Add(time.Hour))
	m.Reloaded(false)
	want(0, midnight)
	h.set(midnight.Add(2 * time.Hour))
	m.Reloaded(true)
	want(1, midnight.Add(2*time.Hour))
}
