package metrics_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// machinesShown returns the names in the label machine, in order. Each must
// have every metric that machines have, and no other.
func machinesShown(t *testing.T, g prometheus.Gatherer) string {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	shown := make(map[string]map[string]bool) // by machine: metrics
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() != "machine" {
					continue
				}
				if shown[l.GetValue()] == nil {
					shown[l.GetValue()] = make(map[string]bool)
				}
				shown[l.GetValue()][f.GetName()] = true
			}
		}
	}
	want := append([]string{
		"nightporter_machine_boot_duration_seconds",
		"nightporter_machine_ready_duration_seconds",
	}, machineFacts...)
	slices.Sort(want)
	for name, metrics := range shown {
		if got := slices.Sorted(maps.Keys(metrics)); !slices.Equal(got, want) {
			t.Errorf("%s has the metrics\n%q, want\n%q", name, got, want)
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(shown)), " ")
}

func TestBootHistogram(t *testing.T) {
	m, reg := newMetrics(t, new(fakePorter).source())
	m.AddMachine("nas")
	m.AddMachine("pc")
	m.Booted("nas", 900*time.Millisecond)
	m.Booted("nas", 25*time.Second)
	m.Booted("nas", -time.Second) // the clock was set back
	m.AddMachine("nas")           // registers again: nothing is lost
	expect(t, reg, `
# HELP nightporter_machine_boot_duration_seconds Time from the first magic packet to the machine's first frame.
# TYPE nightporter_machine_boot_duration_seconds histogram
nightporter_machine_boot_duration_seconds_bucket{machine="nas",le="0.5"} 1
nightporter_machine_boot_duration_seconds_bucket{machine="nas",le="1"} 2
nightporter_machine_boot_duration_seconds_bucket{machine="nas",le="2"} 2
nightporter_machine_boot_duration_seconds_bucket{machine="nas",le="3"} 2
nightporter_machine_boot_duration_seconds_bucket{machine="nas",le="5"} 2
nightporter_machine_boot_duration_seconds_bucket{machine="nas",le="8"} 2
nightporter_machine_boot_duration_seconds_bucket{machine="nas",le="12"} 2
nightporter_machine_boot_duration_seconds_bucket{machine="nas",le="20"} 2
nightporter_machine_boot_duration_seconds_bucket{machine="nas",le="30"} 3
nightporter_machine_boot_duration_seconds_bucket{machine="nas",le="45"} 3
nightporter_machine_boot_duration_seconds_bucket{machine="nas",le="60"} 3
nightporter_machine_boot_duration_seconds_bucket{machine="nas",le="90"} 3
nightporter_machine_boot_duration_seconds_bucket{machine="nas",le="120"} 3
nightporter_machine_boot_duration_seconds_bucket{machine="nas",le="180"} 3
nightporter_machine_boot_duration_seconds_bucket{machine="nas",le="300"} 3
nightporter_machine_boot_duration_seconds_bucket{machine="nas",le="600"} 3
nightporter_machine_boot_duration_seconds_bucket{machine="nas",le="900"} 3
nightporter_machine_boot_duration_seconds_bucket{machine="nas",le="+Inf"} 3
nightporter_machine_boot_duration_seconds_sum{machine="nas"} 25.9
nightporter_machine_boot_duration_seconds_count{machine="nas"} 3
nightporter_machine_boot_duration_seconds_bucket{machine="pc",le="0.5"} 0
nightporter_machine_boot_duration_seconds_bucket{machine="pc",le="1"} 0
nightporter_machine_boot_duration_seconds_bucket{machine="pc",le="2"} 0
nightporter_machine_boot_duration_seconds_bucket{machine="pc",le="3"} 0
nightporter_machine_boot_duration_seconds_bucket{machine="pc",le="5"} 0
nightporter_machine_boot_duration_seconds_bucket{machine="pc",le="8"} 0
nightporter_machine_boot_duration_seconds_bucket{machine="pc",le="12"} 0
nightporter_machine_boot_duration_seconds_bucket{machine="pc",le="20"} 0
nightporter_machine_boot_duration_seconds_bucket{machine="pc",le="30"} 0
nightporter_machine_boot_duration_seconds_bucket{machine="pc",le="45"} 0
nightporter_machine_boot_duration_seconds_bucket{machine="pc",le="60"} 0
nightporter_machine_boot_duration_seconds_bucket{machine="pc",le="90"} 0
nightporter_machine_boot_duration_seconds_bucket{machine="pc",le="120"} 0
nightporter_machine_boot_duration_seconds_bucket{machine="pc",le="180"} 0
nightporter_machine_boot_duration_seconds_bucket{machine="pc",le="300"} 0
nightporter_machine_boot_duration_seconds_bucket{machine="pc",le="600"} 0
nightporter_machine_boot_duration_seconds_bucket{machine="pc",le="900"} 0
nightporter_machine_boot_duration_seconds_bucket{machine="pc",le="+Inf"} 0
nightporter_machine_boot_duration_seconds_sum{machine="pc"} 0
nightporter_machine_boot_duration_seconds_count{machine="pc"} 0
`, "nightporter_machine_boot_duration_seconds")
}

// A machine that comes back under its name begins with an empty histogram.
func TestHistogramStartsAnew(t *testing.T) {
	m, reg := newMetrics(t, new(fakePorter).source())
	m.AddMachine("nas")
	m.Ready("nas", 3*time.Second)
	m.RemoveMachine("nas")
	m.AddMachine("nas")
	h := family(t, reg, "nightporter_machine_ready_duration_seconds").GetMetric()[0].GetHistogram()
	if h.GetSampleCount() != 0 {
		t.Errorf("%d observations, want 0", h.GetSampleCount())
	}
}

func TestNativeHistograms(t *testing.T) {
	m, reg := newMetrics(t, new(fakePorter).source())
	m.AddMachine("nas")
	tests := []struct {
		name    string
		observe func(time.Duration)
	}{
		{"nightporter_wake_latency_seconds", m.WakeLatency},
		{"nightporter_machine_boot_duration_seconds", func(d time.Duration) { m.Booted("nas", d) }},
		{"nightporter_machine_ready_duration_seconds", func(d time.Duration) { m.Ready("nas", d) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			histogram := func() *dto.Histogram {
				return family(t, reg, tt.name).GetMetric()[0].GetHistogram()
			}
			h := histogram()
			if h.Schema == nil || h.GetSchema() != 3 { // 2^(2^-3) = 1.09
				t.Errorf("schema %v, want 3", h.Schema)
			}
			// What marks an empty histogram as a native one.
			if h.GetZeroThreshold() <= 0 {
				t.Error("without an observation the histogram is not marked as native")
			}
			if len(h.GetBucket()) == 0 {
				t.Error("no classic buckets")
			}
			for _, d := range []time.Duration{100 * time.Microsecond, time.Second, time.Minute} {
				tt.observe(d)
			}
			h = histogram()
			if n := len(h.GetPositiveDelta()); n != 3 || h.GetSampleCount() != 3 {
				t.Errorf("%d native buckets of %d observations, want 3 of 3", n, h.GetSampleCount())
			}
		})
	}
}

// What outsiders can provoke must not grow without bound: a sweep over 60
// powers of two needs three times the buckets that are allowed.
func TestNativeBucketsAreBounded(t *testing.T) {
	m, reg := newMetrics(t, new(fakePorter).source())
	for f := 1.0; f < float64(1<<62); f *= 1.05 {
		m.WakeLatency(time.Duration(f))
	}
	h := family(t, reg, "nightporter_wake_latency_seconds").GetMetric()[0].GetHistogram()
	if n := len(h.GetPositiveDelta()); n == 0 || n > 160 {
		t.Errorf("%d native buckets, want 1 to 160", n)
	}
}

func TestWakeLatencyBuckets(t *testing.T) {
	m, reg := newMetrics(t, new(fakePorter).source())
	m.WakeLatency(80 * time.Microsecond)
	var bounds []float64
	for _, b := range family(t, reg, "nightporter_wake_latency_seconds").GetMetric()[0].GetHistogram().GetBucket() {
		bounds = append(bounds, b.GetUpperBound())
		if in := b.GetCumulativeCount() == 1; in != (b.GetUpperBound() >= 80e-6) {
			t.Errorf("bucket %v: %d", b.GetUpperBound(), b.GetCumulativeCount())
		}
	}
	if bounds[0] != 25e-6 || bounds[len(bounds)-1] != 1 {
		t.Errorf("buckets from %v to %v, want 25 us to 1 s", bounds[0], bounds[len(bounds)-1])
	}
}
