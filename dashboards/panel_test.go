package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/units"
)

// TestPanels holds every panel to the rules that a panel has to keep.
func TestPanels(t *testing.T) {
	for _, name := range files() {
		m := load(t, name)
		if len(m.panels()) == 0 {
			t.Errorf("%s has no panels", name)
		}
		for _, p := range m.panels() {
			for _, fault := range p.faults() {
				t.Errorf("%s, panel %q: %s", name, p.Title, fault)
			}
		}
		faults := append(repeated(m.all()), overlaps(m.Panels)...)
		for _, row := range m.Panels {
			faults = append(faults, overlaps(append(row.Panels, row))...)
		}
		for _, fault := range faults {
			t.Errorf("%s: %s", name, fault)
		}
		for _, a := range m.Annotations.List {
			if a.Name == "" || a.TextFormat == "" || a.IconColor == "" || !a.Datasource.chosen() || !a.Target.Datasource.chosen() {
				t.Errorf("%s, annotation %q: text %q, colour %q, data source %v", name, a.Name, a.TextFormat, a.IconColor, a.Datasource)
			}
		}
	}
}

func (s *source) chosen() bool { return s != nil && *s == source{"prometheus", "$datasource"} }

// knownUnits are those in use. A unit that Grafana does not know is shown as a
// word after the number, which this test would not notice.
func knownUnits() []string {
	return []string{
		units.NoUnit, units.Short, units.PercentUnit, units.Seconds, units.DateTimeFromNow, units.WattHour, units.Watt,
		units.PacketsPerSecond, units.BytesIEC, units.BytesPerSecondIEC,
	}
}

func (p panelModel) faults() (faults []string) {
	complain := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if p.Title == "" {
		complain("no title")
	}
	if len(p.Description) < 60 || !strings.HasSuffix(p.Description, ".") || !strings.Contains(p.Description, "nvestigate") {
		complain("the description does not say what is shown and when to investigate: %q", p.Description)
	}
	if !slices.Contains(knownUnits(), p.FieldConfig.Defaults.Unit) {
		complain("unit %q", p.FieldConfig.Defaults.Unit)
	}
	if !p.Datasource.chosen() {
		complain("data source %v, want the chosen one", p.Datasource)
	}
	if p.Type != "heatmap" && len(p.FieldConfig.Defaults.Thresholds.Steps) == 0 {
		complain("no thresholds")
	}
	if len(p.Targets) == 0 {
		complain("no query")
	}
	seen := make(map[string]bool)
	for _, t := range p.Targets {
		if t.RefID == "" || seen[t.RefID] {
			complain("query %q is not the only one of this name", t.RefID)
		}
		seen[t.RefID] = true
		if !t.Datasource.chosen() {
			complain("query %s: data source %v, want the chosen one", t.RefID, t.Datasource)
		}
		if t.Instant == t.Range {
			complain("query %s is for a moment: %v, for a range: %v, want one of them", t.RefID, t.Instant, t.Range)
		}
	}
	return faults
}

// repeated are ids and titles that are not unique.
func repeated(panels []panelModel) (faults []string) {
	complain := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for i, p := range panels {
		if p.ID == 0 {
			complain("panel %q has no id", p.Title)
		}
		for _, q := range panels[:i] {
			if p.ID == q.ID {
				complain("panels %q and %q have the id %d", q.Title, p.Title, p.ID)
			}
			if p.Title == q.Title && (p.Type != "row") == (q.Type != "row") {
				complain("two panels are called %q", p.Title)
			}
		}
	}
	return faults
}

// overlaps are panels that lie outside the grid or on others.
func overlaps(panels []panelModel) (faults []string) {
	complain := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for i, p := range panels {
		g := p.GridPos
		if g.W <= 0 || g.H <= 0 || g.X < 0 || g.Y < 0 || g.X+g.W > 24 {
			complain("panel %q lies at %+v", p.Title, g)
		}
		for _, q := range panels[:i] {
			if h := q.GridPos; g.X < h.X+h.W && h.X < g.X+g.W && g.Y < h.Y+h.H && h.Y < g.Y+g.H {
				complain("panels %q and %q overlap", q.Title, p.Title)
			}
		}
	}
	return faults
}
