package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// reloads tell how the last reload of the configuration ended, as other programs that
// Prometheus watches do.
type reloads struct {
	successful, at prometheus.Gauge
	now            func() time.Time
}

func newReloads(now func() time.Time) *reloads {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
	}
	r := &reloads{
		now: now,
		successful: gauge("config_last_reload_successful",
			"1 if the last reload of the configuration succeeded, 0 if it failed and the old one stays. The start counts as a reload."),
		at: gauge("config_last_reload_success_timestamp_seconds",
			"When the configuration was loaded successfully last, as Unix time."),
	}
	r.note(true)
	return r
}

func (r *reloads) note(ok bool) {
	if !ok {
		r.successful.Set(0)
		return
	}
	r.successful.Set(1)
	r.at.Set(unix(r.now()))
}
