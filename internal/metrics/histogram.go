package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Every histogram has classic buckets, for any Prometheus, and native ones
// beside them, for those that scrape them.
const (
	nativeFactor = 1.1 // each native bucket is at most a tenth wider than the last
	// The time of a wake is driven from outside, so the number of native
	// buckets is bounded: 160 of this width span 20 powers of two.
	nativeMaxBuckets = 160
	nativeMinReset   = time.Hour
)

// machineHistograms holds the histograms that each machine has.
type machineHistograms struct {
	boot, ready *prometheus.HistogramVec

	mu    sync.RWMutex
	known map[string]histograms // by machine
}

type histograms struct{ boot, ready prometheus.Observer }

func newMachineHistograms() *machineHistograms {
	return &machineHistograms{
		boot: newWakeHistogram("machine_boot_duration_seconds",
			"Time from the first magic packet to the machine's first frame."),
		ready: newWakeHistogram("machine_ready_duration_seconds",
			"Time from the first magic packet to the readiness of the requested services."),
		known: make(map[string]histograms),
	}
}

// newWakeHistogram returns a histogram of waking times: a suspended machine is
// back within a second or two, a server with much firmware takes many minutes.
func newWakeHistogram(name, help string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help,
		Buckets:                         []float64{0.5, 1, 2, 3, 5, 8, 12, 20, 30, 45, 60, 90, 120, 180, 300, 600, 900},
		NativeHistogramBucketFactor:     nativeFactor,
		NativeHistogramMaxBucketNumber:  nativeMaxBuckets,
		NativeHistogramMinResetDuration: nativeMinReset,
	}, []string{"machine"})
}

func newWakeLatency() prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: namespace, Name: "wake_latency_seconds",
		Help: "Time from a knock's arrival in the kernel to the sending of the magic packet.",
		Buckets: []float64{
			25e-6, 50e-6, 100e-6, 150e-6, 250e-6, 500e-6,
			1e-3, 2.5e-3, 5e-3, 10e-3, 50e-3, 250e-3, 1,
		},
		NativeHistogramBucketFactor:     nativeFactor,
		NativeHistogramMaxBucketNumber:  nativeMaxBuckets,
		NativeHistogramMinResetDuration: nativeMinReset,
	})
}

// add makes the series of a machine. A name that cannot be a label value (one
// that is not UTF-8) gets none.
func (m *machineHistograms) add(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.known[name]; ok {
		return
	}
	boot, err := m.boot.GetMetricWithLabelValues(name)
	if err != nil {
		return
	}
	ready, err := m.ready.GetMetricWithLabelValues(name)
	if err != nil {
		return
	}
	m.known[name] = histograms{boot, ready}
}

func (m *machineHistograms) remove(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.known, name)
	m.boot.DeleteLabelValues(name)
	m.ready.DeleteLabelValues(name)
}

// of returns the histograms of a machine. It never makes them: a boot that is
// reported late must not bring a forgotten machine's series back.
func (m *machineHistograms) of(name string) (histograms, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	h, ok := m.known[name]
	return h, ok
}

// observe records d in seconds. A clock that was set back meanwhile can make d
// negative; a histogram's sum must not fall.
func observe(o prometheus.Observer, d time.Duration) { o.Observe(max(0, d).Seconds()) }
