package main

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestQueries holds every query of every panel and annotation to the rules.
func TestQueries(t *testing.T) {
	for _, name := range files() {
		m := load(t, name)
		r := rules{machine: m.machineMatcher()}
		for _, p := range m.panels() {
			legends := make(map[string]bool)
			for _, target := range p.Targets {
				where := name + ", panel " + p.Title + ", query " + target.RefID
				r.total = target.Instant
				checkQuery(t, where, r, target.Expr, p.tells(target))
				if p.Type != "table" && legends[target.LegendFormat] {
					t.Errorf("%s: another query has the legend %q", where, target.LegendFormat)
				}
				legends[target.LegendFormat] = true
				if (target.Format == "heatmap") != (p.Type == "heatmap") || (target.Format == "table") != (p.Type == "table") {
					t.Errorf("%s: format %q for a %s", where, target.Format, p.Type)
				}
			}
		}
		for _, a := range m.Annotations.List {
			r.total = false
			checkQuery(t, name+", annotation "+a.Name, r, a.Target.Expr, a.TextFormat)
			if a.UseValueForTime != strings.HasSuffix(a.Target.Expr, "* 1000") {
				t.Errorf("%s, annotation %s: its values are moments in milliseconds: %v", name, a.Name, a.UseValueForTime)
			}
		}
	}
}

// tells is the text that tells the series of a query apart: its legend, or the
// labels that the table has columns for.
func (p panelModel) tells(target targetModel) string {
	if p.Type != "table" {
		return target.LegendFormat
	}
	var columns strings.Builder
	for _, transformation := range p.Transformations {
		for field := range transformation.Options.RenameByName {
			columns.WriteString("{{" + field + "}}")
		}
	}
	return columns.String()
}

func (m model) machineMatcher() string {
	for _, v := range m.Templating.List {
		switch {
		case v.Name == "machine" && v.Multi:
			return `machine=~"$machine"`
		case v.Name == "machine":
			return `machine="$machine"`
		}
	}
	return ""
}

func checkQuery(t *testing.T, where string, r rules, query, tells string) {
	t.Helper()
	expr, err := parse(query)
	if err != nil {
		t.Errorf("%s: %v\n%s", where, err, query)
		return
	}
	for _, fault := range r.faults(expr) {
		t.Errorf("%s: %s\n%s", where, fault, query)
	}
	names, known := labelsOf(expr)
	if !known {
		t.Errorf("%s: no aggregation chooses the labels\n%s", where, query)
	}
	if tells == "" {
		t.Errorf("%s: no legend", where)
	}
	shown := labelsIn(tells)
	for name := range names {
		if !shown[name] {
			t.Errorf("%s: series differ in %s, which %q does not show", where, name, tells)
		}
	}
	if table := strings.Contains(tells, "{{Value"); !table {
		for name := range shown {
			if !names[name] {
				t.Errorf("%s: %q shows %s, which no series has", where, tells, name)
			}
		}
	}
}

// labelsIn are the labels that a legend names.
func labelsIn(legend string) map[string]bool {
	names := make(map[string]bool)
	for _, found := range regexp.MustCompile(`\{\{([a-z_]+)\}\}`).FindAllStringSubmatch(legend, -1) {
		names[found[1]] = true
	}
	return names
}

// Every variable in a dashboard is one that it has, or that Grafana has.
func TestVariablesExist(t *testing.T) {
	for _, name := range files() {
		m := load(t, name)
		known := map[string]bool{"__rate_interval": true, "__range": true}
		used := make(map[string]bool)
		note := func(text string) {
			for _, found := range regexp.MustCompile(`\$([A-Za-z_]+)`).FindAllStringSubmatch(text, -1) {
				used[found[1]] = true
			}
		}
		for _, v := range m.Templating.List {
			known[v.Name] = true
			note(v.Query)
		}
		for _, p := range m.all() {
			note(p.Title)
			note(p.Datasource.uid())
			for _, target := range p.Targets {
				note(target.Expr)
				note(target.LegendFormat)
			}
		}
		for variable := range used {
			if !known[variable] {
				t.Errorf("%s: $%s is used, and is no variable", name, variable)
			}
		}
		for _, v := range m.Templating.List {
			if !used[v.Name] {
				t.Errorf("%s: nothing uses $%s", name, v.Name)
			}
		}
	}
}

func (s *source) uid() string {
	if s == nil {
		return ""
	}
	return s.UID
}

// TestRules shows that the rules find what they are for.
func TestRules(t *testing.T) {
	const porters = `job=~"$job", instance=~"$instance"`
	for _, c := range []struct {
		expr  string
		total bool
		fault string
	}{
		{`sum(rate(a_total{` + porters + `}[$__rate_interval]))`, false, ""},
		{`sum(increase(a_total{` + porters + `}[$__range]))`, true, ""},
		{`sum(rate(a_total{instance=~"$instance"}[$__rate_interval]))`, false, `no matcher job=~"$job"`},
		{`sum(rate(a_total{job=~"$job"}[$__rate_interval]))`, false, `no matcher instance=~"$instance"`},
		{`sum(rate(a_total{job=~"$job", instance="$instance"}[$__rate_interval]))`, false, "no matcher instance"},
		{`sum(a{` + porters + `} / on (job, instance) b{job=~"$job"})`, false, "b has no matcher instance"},
		{`sum(rate(a_total{` + porters + `}[5m]))`, false, "rate over 5m0s"},
		{`sum(rate(a_total{` + porters + `}[$__range]))`, false, "rate over 23h59m59s"},
		{`sum(avg_over_time(a{` + porters + `}[$__range]))`, false, "avg_over_time over"},
		{`sum(max_over_time(a{` + porters + `}[$__range]))`, true, "max_over_time over"},
		{`sum(a_total{` + porters + `})`, false, "counters belong into rate"},
		{`sum(increase(a_seconds{` + porters + `}[$__rate_interval]))`, false, "counters belong into rate"},
		{`max(max_over_time(sum(a{` + porters + `})[1h:1m]))`, true, "subquery"},
	} {
		expr, err := parse(c.expr)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(rules{total: c.total}.faults(expr), "; ")
		if (got == "") != (c.fault == "") || !strings.Contains(got, c.fault) {
			t.Errorf("%s\nfaults %q, want %q", c.expr, got, c.fault)
		}
	}
	expr, err := parse(`sum(nightporter_machine_state{` + porters + `})`)
	if err != nil {
		t.Fatal(err)
	}
	if got := (rules{machine: `machine="$machine"`}).faults(expr); len(got) != 1 {
		t.Errorf("no machine is chosen: faults %q, want one", got)
	}
}

func TestLabelsOf(t *testing.T) {
	for expr, want := range map[string]string{
		`a`:                                      "unknown",
		`rate(a[5m])`:                            "unknown",
		`sum without (x) (a)`:                    "unknown",
		`sum(a)`:                                 "",
		`sum by (x, y) (a) * 2`:                  "x y",
		`1 - sum by (x) (a)`:                     "x",
		`bottomk(3, sum by (x) (a))`:             "x",
		`(sum by (x) (a) or sum by (y) (b)) > 0`: "x y",
		`sum by (x) (a) or b`:                    "unknown",
		`histogram_quantile(0.9, sum by (x, le) (a))`:         "x",
		`label_replace(sum by (x) (a), "y", "1", "", "")`:     "x y",
		`sum by (x, y) (a) / on (x) group_left sum by (x)(b)`: "x y",
	} {
		e, err := parse(expr)
		if err != nil {
			t.Fatal(err)
		}
		names, known := labelsOf(e)
		got := strings.Join(slices.Sorted(maps.Keys(names)), " ")
		if !known {
			got = "unknown"
		}
		if got != want {
			t.Errorf("%s has the labels %q, want %q", expr, got, want)
		}
	}
}
