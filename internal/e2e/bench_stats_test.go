package e2e

import (
	"math"
	"slices"
	"testing"
	"time"
)

// latencies are samples of one measurement.
type latencies []time.Duration

// percentile returns the smallest sample that at least the share q of all does not exceed.
func (l latencies) percentile(q float64) time.Duration {
	s := slices.Sorted(slices.Values(l))
	return s[max(int(math.Ceil(q*float64(len(s))))-1, 0)]
}

// report reports the median and the 99th percentile of a benchmark. prefix is empty for the
// daemon, or names what is measured.
func (l latencies) report(b *testing.B, prefix string) {
	b.ReportMetric(micros(l.percentile(0.5)), prefix+"p50-us")
	b.ReportMetric(micros(l.percentile(0.99)), prefix+"p99-us")
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// median returns the median of numbers, and sorts them.
func median(v []float64) float64 {
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

func TestPercentile(t *testing.T) {
	var l latencies
	for i := range 200 {
		l = append(l, time.Duration(200-i))
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 100, 0.99: 198, 1: 200} {
		if got := l.percentile(q); got != want {
			t.Errorf("percentile %v is %d, want %d", q, got, want)
		}
	}
	if got := median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("median of 1 to 4 is %v", got)
	}
}
