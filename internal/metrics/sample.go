package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

const namespace = "nightporter"

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

// sample is one value, read at a scrape. It is leaner than what
// prometheus.NewConstMetric makes, because the samples of one machine share
// their labels: with a thousand machines there are 30,000 samples, and a scrape
// must fit into the memory of a small host.
type sample struct {
	desc   *prometheus.Desc
	labels []*dto.LabelPair // sorted by name; shared, never changed
	kind   prometheus.ValueType
	value  float64
}

// Desc implements prometheus.Metric.
func (s *sample) Desc() *prometheus.Desc { return s.desc }

// Write implements prometheus.Metric.
func (s *sample) Write(out *dto.Metric) error {
	out.Label = s.labels
	if s.kind == prometheus.CounterValue {
		out.Counter = &dto.Counter{Value: &s.value}
	} else {
		out.Gauge = &dto.Gauge{Value: &s.value}
	}
	return nil
}

// label returns one label of a sample.
func label(name, value string) *dto.LabelPair {
	return &dto.LabelPair{Name: &name, Value: &value}
}

func gauge(ch chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...*dto.LabelPair) {
	ch <- &sample{desc: d, labels: labels, kind: prometheus.GaugeValue, value: v}
}

func counter(ch chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...*dto.LabelPair) {
	ch <- &sample{desc: d, labels: labels, kind: prometheus.CounterValue, value: v}
}

// one returns 1 for true and 0 for false.
func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// unix returns t in seconds since 1970, and 0 for no time.
func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
