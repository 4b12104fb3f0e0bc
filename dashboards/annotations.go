package main

import (
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// annotation marks moments in all panels of a dashboard.
type annotation struct {
	name, expr string
	text       string // may name labels, as {{label}}
	color      string
	// The values of expr are the moments, in milliseconds since 1970. Otherwise a
	// moment is whenever expr has a value above 0.
	timestamps bool
	off        bool // not shown until it is switched on
}

func (a annotation) builder() *dashboard.AnnotationQueryBuilder {
	return dashboard.NewAnnotationQueryBuilder().
		Name(a.name).
		Datasource(datasource()).
		Enable(!a.off).
		IconColor(a.color).
		Target(target(a.expr).Range().RefId("Anno"))
}

// complete adds to a dashboard what the builder cannot set: how annotations
// are written and placed in time. And it takes away what the builder puts in by
// itself, by which links and the switches of annotations would hide in a menu.
func complete(model map[string]any, annotations []annotation) error {
	links, _ := model["links"].([]any)
	for _, l := range links {
		if fields, ok := l.(map[string]any); ok {
			delete(fields, "placement")
		}
	}
	container, _ := model["annotations"].(map[string]any)
	list, _ := container["list"].([]any)
	if len(list) != len(annotations) {
		return fmt.Errorf("%d annotations in the dashboard, want %d", len(list), len(annotations))
	}
	for i, a := range annotations {
		fields, ok := list[i].(map[string]any)
		if !ok {
			return fmt.Errorf("annotation %q: a %T in the dashboard, want an object", a.name, list[i])
		}
		delete(fields, "placement")
		fields["titleFormat"] = a.name
		fields["textFormat"] = a.text
		fields["useValueForTime"] = a.timestamps
	}
	return nil
}

// failedWakes marks the wakes that were given up, of the machines that a selector
// is for.
func failedWakes(machines string) annotation {
	return annotation{
		name: "Failed wakes", text: "the wake of {{machine}} failed ({{trigger}})", color: "red",
		expr: `sum by (machine, trigger) (increase(nightporter_machine_wake_failures_total{` + machines + `}[$__rate_interval])) > 0`,
	}
}
