package metrics_test

import (
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"nightporter/internal/ether"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"nightporter/internal/machine"
	"nightporter/internal/metrics"
)

var midnight = time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)

// fakePorter is what the daemon would know, changed by the tests.
type fakePorter struct {
	mu       sync.Mutex
	machines []machine.Status
	now      time.Time
}

func (h *fakePorter) set(now time.Time, machines ...machine.Status) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now, h.machines = now, machines
}

func (h *fakePorter) source() metrics.Source {
	return metrics.Source{
		Machines: func() []machine.Status {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.machines
		},
		Now: func() time.Time {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.now
		},
	}
}

func newMetrics(t testing.TB, src metrics.Source) (*metrics.Metrics, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	m, err := metrics.New(reg, src)
	if err != nil {
		t.Fatal(err)
	}
	return m, reg
}

func asleep(name string, since time.Time) machine.Status {
	return machine.Status{
		Spec: machine.Spec{
			Name: name, MAC: ether.MAC{0xd8, 0xcb, 0x8a, 0x39, 0xbe, 0xa1},
			IdleWatts: 50, SleepWatts: 2,
			Monitor: []machine.Address{
				{IP: netip.MustParseAddr("192.0.2.5"), Ports: []machine.Port{{Protocol: machine.ICMP}, {Protocol: machine.TCP, Number: 22}}},
				{IP: netip.MustParseAddr("2001:db8::5"), Ports: []machine.Port{{Protocol: machine.TCP, Number: 22}}},
			},
		},
		State: machine.Asleep,
		Since: since,
	}
}

func expect(t *testing.T, g prometheus.Gatherer, want string, names ...string) {
	t.Helper()
	if err := testutil.GatherAndCompare(g, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

// value returns the one sample of a metric.
func value(t *testing.T, g prometheus.Gatherer, name string) float64 {
	t.Helper()
	ms := family(t, g, name).GetMetric()
	if len(ms) != 1 {
		t.Fatalf("%s has %d samples, want 1", name, len(ms))
	}
	if c := ms[0].GetCounter(); c != nil {
		return c.GetValue()
	}
	return ms[0].GetGauge().GetValue()
}

// family returns the metric of this name, nil if there is none.
func family(t *testing.T, g prometheus.Gatherer, name string) *dto.MetricFamily {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f
		}
	}
	return nil
}

func TestEvents(t *testing.T) {
	m, reg := newMetrics(t, new(fakePorter).source())
	m.ARPReplied()
	m.ARPReplied()
	m.NDPReplied()
	m.Registered()
	m.RegistrationRejected(metrics.Invalid)
	m.RegistrationRejected(metrics.Limited)
	m.RegistrationRejected("an unknown value")
	m.Notified(metrics.NotificationSent)
	m.Notified(metrics.NotificationSuppressed)
	m.Notified("an unknown value")
	expect(t, reg, `
# HELP nightporter_neighbor_replies_total ARP and NDP replies for addresses of sleeping machines.
# TYPE nightporter_neighbor_replies_total counter
nightporter_neighbor_replies_total{protocol="arp"} 2
nightporter_neighbor_replies_total{protocol="ndp"} 1
# HELP nightporter_notifications_total Notifications by outcome: sent and failed once per target, suppressed once per event over notify.rate.
# TYPE nightporter_notifications_total counter
nightporter_notifications_total{outcome="failed"} 1
nightporter_notifications_total{outcome="sent"} 1
nightporter_notifications_total{outcome="suppressed"} 1
# HELP nightporter_registrations_rejected_total Rejected registrations by reason.
# TYPE nightporter_registrations_rejected_total counter
nightporter_registrations_rejected_total{reason="invalid"} 1
nightporter_registrations_rejected_total{reason="limited"} 1
nightporter_registrations_rejected_total{reason="refused"} 1
# HELP nightporter_registrations_total Accepted registrations, including repeated ones.
# TYPE nightporter_registrations_total counter
nightporter_registrations_total 1
`, "nightporter_neighbor_replies_total", "nightporter_notifications_total", "nightporter_registrations_total",
		"nightporter_registrations_rejected_total")
}

// With no machine registered every event counter is there already, at 0, and no
// series of a machine is.
func TestNoMachines(t *testing.T) {
	_, reg := newMetrics(t, new(fakePorter).source())
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := make(map[string]int)
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "nightporter_") {
			series[f.GetName()] = len(f.GetMetric())
		}
	}
	want := map[string]int{
		"nightporter_build_info":                                   1,
		"nightporter_config_last_reload_successful":                1,
		"nightporter_config_last_reload_success_timestamp_seconds": 1,
		"nightporter_neighbor_replies_total":                       2,
		"nightporter_notifications_total":                          3,
		"nightporter_registrations_total":                          1,
		"nightporter_registrations_rejected_total":                 3,
		"nightporter_wake_latency_seconds":                         1,
	}
	for name, n := range want {
		if series[name] != n {
			t.Errorf("%s: %d series, want %d", name, series[name], n)
		}
		delete(series, name)
	}
	for name := range series {
		t.Errorf("%s has series without a machine", name)
	}
}

func TestRuntimeCollectors(t *testing.T) {
	_, reg := newMetrics(t, new(fakePorter).source())
	for _, name := range []string{"go_goroutines", "process_open_fds", "nightporter_build_info"} {
		if family(t, reg, name) == nil {
			t.Errorf("no %s", name)
		}
	}
}

func TestLint(t *testing.T) {
	h := new(fakePorter)
	h.set(midnight, asleep("nas", midnight))
	src := h.source()
	src.Drops = func() map[string]uint64 { return map[string]uint64{"eth0": 3} }
	src.Rejected = func() map[string]map[string]uint64 {
		return map[string]map[string]uint64{"eth0": {"truncated": 4}}
	}
	m, reg := newMetrics(t, src)
	m.AddMachine("nas")
	m.Booted("nas", time.Second)
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestNewErrors(t *testing.T) {
	reg := prometheus.NewRegistry()
	if _, err := metrics.New(reg, metrics.Source{}); err == nil {
		t.Error("a source without machines was accepted")
	}
	if _, err := metrics.New(reg, new(fakePorter).source()); err != nil {
		t.Fatal(err)
	}
	if _, err := metrics.New(reg, new(fakePorter).source()); err == nil {
		t.Error("the same names were registered twice")
	}
}

func TestConcurrentUse(t *testing.T) {
	const rounds = 200
	h := new(fakePorter)
	h.set(midnight, asleep("nas", midnight.Add(-time.Hour)))
	m, reg := newMetrics(t, h.source())
	m.AddMachine("nas")
	var all sync.WaitGroup
	all.Go(func() {
		for range rounds {
			m.ARPReplied()
			m.NDPReplied()
			m.WakeLatency(time.Millisecond)
			m.Booted("nas", time.Second)
			m.Ready("nas", time.Second)
			m.Registered()
			m.RegistrationRejected(metrics.Refused)
		}
	})
	all.Go(func() {
		for range rounds {
			m.AddMachine("guest")
			m.Booted("guest", time.Second)
			m.RemoveMachine("guest")
		}
	})
	all.Go(func() {
		for i := range rounds {
			h.set(midnight.Add(time.Duration(i)*time.Second), asleep("nas", midnight))
		}
	})
	for range 2 {
		all.Go(func() {
			for range 20 {
				if _, err := reg.Gather(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	expect(t, reg, `
# HELP nightporter_neighbor_replies_total ARP and NDP replies for addresses of sleeping machines.
# TYPE nightporter_neighbor_replies_total counter
nightporter_neighbor_replies_total{protocol="arp"} 200
nightporter_neighbor_replies_total{protocol="ndp"} 200
`, "nightporter_neighbor_replies_total")
	if n := family(t, reg, "nightporter_machine_boot_duration_seconds").GetMetric(); len(n) != 1 ||
		n[0].GetHistogram().GetSampleCount() != rounds {
		t.Errorf("boots: %v, want one series with %d observations", n, rounds)
	}
}
