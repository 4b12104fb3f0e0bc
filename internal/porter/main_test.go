package porter

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"nightporter/internal/config"
	"nightporter/internal/due"
	"nightporter/internal/fastpath"
	"nightporter/internal/handover"
	"nightporter/internal/lab/labtest"
	"nightporter/internal/machine"
	"nightporter/internal/metrics"
)

// patience is how long a test waits for what must happen, in real time.
const patience = 20 * time.Second

// discard is for what is logged and not looked at.
var discard = slog.New(slog.DiscardHandler)

func TestMain(m *testing.M) {
	labtest.Enter()
	goleak.VerifyTestMain(m)
}

// vacant returns a porter without an interface, and the registry of its
// metrics. What it logs goes to log, which may be nil.
func vacant(t testing.TB, log io.Writer) (*Porter, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	m, err := metrics.New(reg, metrics.Source{Machines: func() []machine.Status { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if log == nil {
		log = io.Discard
	}
	p := &Porter{
		conf: config.Default(), metrics: m,
		log:       slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		sightings: make(chan fastpath.Sighting, sightingQueue),
		journal:   new(notebook),
		budget:    handover.NewBudget(heldOctets, heldReserve),
		requests:  make(chan func()),
		running:   make(chan struct{}),
		stopped:   make(chan struct{}),
		machines:  make(map[string]*entry),
		byMAC:     make(map[machine.MAC]*entry),
		awaited:   make(map[*entry]bool),
		timers:    due.Queue[*entry]{},
	}
	p.started = p.conf
	p.setTrust(p.conf)
	return p, reg
}

// series returns how many series the metric has for the machine.
func series(t *testing.T, reg *prometheus.Registry, metric, name string) int {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range families {
		if f.GetName() != metric {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "machine" && l.GetValue() == name {
					n++
				}
			}
		}
	}
	return n
}

// observations returns the count and the sum of a histogram without labels.
func observations(t *testing.T, reg *prometheus.Registry, metric string) (count uint64, sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == metric {
			h := f.GetMetric()[0].GetHistogram()
			return h.GetSampleCount(), h.GetSampleSum()
		}
	}
	t.Fatalf("no metric %s", metric)
	return 0, 0
}
