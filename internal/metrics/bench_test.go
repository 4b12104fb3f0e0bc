package metrics_test

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"nightporter/internal/machine"
	"nightporter/internal/metrics"
)

func BenchmarkARPReplied(b *testing.B) {
	m, _ := newMetrics(b, new(fakePorter).source())
	b.ReportAllocs()
	for b.Loop() {
		m.ARPReplied()
	}
}

func BenchmarkWakeLatency(b *testing.B) {
	m, _ := newMetrics(b, new(fakePorter).source())
	b.ReportAllocs()
	for b.Loop() {
		m.WakeLatency(90 * time.Microsecond)
	}
}

// BenchmarkScrape1000 scrapes a porter with 1,000 sleeping machines, as text.
func BenchmarkScrape1000(b *testing.B) {
	h := new(fakePorter)
	reg := prometheus.NewRegistry()
	m, err := metrics.New(reg, h.source())
	if err != nil {
		b.Fatal(err)
	}
	machines := make([]machine.Status, 1000)
	for i := range machines {
		machines[i] = asleep(fmt.Sprintf("machine-%d", i), midnight)
		m.AddMachine(machines[i].Name)
	}
	h.set(midnight.Add(time.Hour), machines...)
	handler := promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
	b.ReportAllocs()
	for b.Loop() {
		w := &httptest.ResponseRecorder{Body: new(bytes.Buffer)}
		handler.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		b.SetBytes(int64(w.Body.Len()))
	}
}
