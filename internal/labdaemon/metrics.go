package labdaemon

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Samples are the daemon's metrics at one moment: values by series, written as
// in a query: name{label="value"}.
type Samples map[string]float64

// Metrics scrapes the daemon as Prometheus does.
func (d *Daemon) Metrics(ctx context.Context) (Samples, error) {
	status, body, err := d.Get(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	if status != 200 {
		return nil, fmt.Errorf("/metrics answered %d: %s", status, body)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("/metrics: %w", err)
	}
	all := make(Samples)
	for _, f := range families {
		vector, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{}, f)
		if err != nil {
			return nil, err
		}
		for _, s := range vector {
			all[s.Metric.String()] = float64(s.Value)
		}
	}
	return all, nil
}

// Changed returns what is different from before, sorted by name.
func (s Samples) Changed(before Samples, prefix string) []string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if strings.HasPrefix(name, prefix) && s[name] != before[name] {
			lines = append(lines, fmt.Sprintf("%s %g", name, s[name]))
		}
	}
	return lines
}
