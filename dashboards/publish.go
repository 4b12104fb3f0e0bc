package main

import (
	"maps"
	"slices"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// oldestGrafana is the first release that reads dashboards of schema version 42.
const oldestGrafana = "12.1.0"

// publish adds to a dashboard what grafana.com wants to know of one: the data source
// that it asks for while it is imported, and what it needs of Grafana.
func publish(model map[string]any, panels []dashboard.PanelOrRowPanel) {
	model["__inputs"] = []any{map[string]any{
		"name": "DS_PROMETHEUS", "label": "Prometheus", "description": "The Prometheus that scrapes the porters.",
		"type": "datasource", "pluginId": "prometheus", "pluginName": "Prometheus",
	}}
	needs := func(kind, id, version string) map[string]any {
		return map[string]any{"type": kind, "id": id, "name": pluginNames[id], "version": version}
	}
	required := []any{needs("grafana", "grafana", oldestGrafana), needs("datasource", "prometheus", "1.0.0")}
	for _, kind := range kinds(panels) {
		required = append(required, needs("panel", kind, ""))
	}
	model["__requires"] = required
}

// pluginNames are how Grafana calls what dashboards are made of.
var pluginNames = map[string]string{
	"grafana": "Grafana", "prometheus": "Prometheus",
	"bargauge": "Bar gauge", "heatmap": "Heatmap", "stat": "Stat", "state-timeline": "State timeline",
	"table": "Table", "timeseries": "Time series",
}

// kinds returns the kinds of panels in use, in order.
func kinds(panels []dashboard.PanelOrRowPanel) []string {
	used := make(map[string]bool)
	for _, p := range panels {
		if p.Panel != nil {
			used[p.Panel.Type] = true
			continue
		}
		for _, inner := range p.RowPanel.Panels {
			used[inner.Type] = true
		}
	}
	return slices.Sorted(maps.Keys(used))
}
