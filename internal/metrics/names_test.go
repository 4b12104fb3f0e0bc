package metrics_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"nightporter/internal/lan"
	"nightporter/internal/machine"
	"nightporter/internal/metrics"
)

// everything is a source that knows of all there is to know.
func everything() metrics.Source {
	h := new(fakePorter)
	h.set(midnight, asleep("nas", midnight))
	src := h.source()
	yes := func() bool { return true }
	src.Ready, src.Stored, src.Guarded, src.GuardNeeded = yes, yes, yes, yes
	src.Drops = func() map[string]uint64 { return map[string]uint64{"eth0": 0} }
	rejected := map[string]uint64{"overrun": 0} // the reason that is the porter's own
	for _, v := range []lan.Verdict{lan.Truncated, lan.BadARP, lan.BadIP, lan.BadNDP, lan.ForeignVLAN} {
		rejected[v.String()] = 0
	}
	src.Rejected = func() map[string]map[string]uint64 { return map[string]map[string]uint64{"eth0": rejected} }
	return src
}

// exported are the porter's own series by their names, and by their labels what
// values those have. A histogram has three names.
func exported(t *testing.T) map[string]map[string][]string {
	t.Helper()
	m, reg := newMetrics(t, everything())
	m.AddMachine("nas")
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := make(map[string]map[string][]string)
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "nightporter_") {
			continue
		}
		labels := map[string][]string{"job": nil, "instance": nil} // from Prometheus
		for _, sample := range f.GetMetric() {
			for _, l := range sample.GetLabel() {
				labels[l.GetName()] = append(labels[l.GetName()], l.GetValue())
			}
		}
		names := []string{f.GetName()}
		if f.GetMetric()[0].GetHistogram() != nil {
			names = []string{f.GetName() + "_bucket", f.GetName() + "_sum", f.GetName() + "_count"}
		}
		for _, name := range names {
			series[name] = labels
		}
	}
	return series
}

// shown returns what dashboards and rules ask for, by file.
func shown(t *testing.T) map[string]string {
	t.Helper()
	texts := make(map[string]string)
	for _, pattern := range []string{"*.json", "rules/*.yml"} {
		files, err := filepath.Glob(filepath.Join("../../dashboards", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts[file] = strings.ReplaceAll(string(text), `\"`, `"`)
		}
	}
	for _, name := range []string{"overview", "machine", "porter"} {
		if file := "../../dashboards/" + name + ".json"; texts[file] == "" {
			t.Fatalf("%s: not there, or empty", file)
		}
	}
	return texts
}

// Names with a colon are those of recording rules.
var (
	name     = regexp.MustCompile(`[a-z0-9_:]*\bnightporter_[a-z_]+[a-z0-9_:]*`)
	selector = regexp.MustCompile(`\b(nightporter_[a-z_]+)\{([^}]*)\}`)
	matcher  = regexp.MustCompile(`([a-z_]+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
)

// What dashboards and rules ask for is exported, and what is exported is shown.
// A metric without use would need a reason to be there.
func TestNamesOfDashboardsAndRules(t *testing.T) {
	series := exported(t)
	used := make(map[string]bool)
	for file, text := range shown(t) {
		for _, metric := range name.FindAllString(text, -1) {
			used[metric] = true
			if _, ok := series[metric]; !ok && !strings.Contains(metric, ":") {
				t.Errorf("%s asks for %s, which is not exported", file, metric)
			}
		}
	}
	for metric := range series {
		if !used[metric] && !partlyUsed(metric, used) {
			t.Errorf("%s is exported, and neither a dashboard nor a rule shows it", metric)
		}
	}
}

// partlyUsed tells whether the metric is part of a histogram that is shown:
// no reader needs all of its three names.
func partlyUsed(metric string, used map[string]bool) bool {
	for _, part := range []string{"_bucket", "_sum", "_count"} {
		base, ok := strings.CutSuffix(metric, part)
		if ok && (used[base+"_bucket"] || used[base+"_sum"] || used[base+"_count"]) {
			return true
		}
	}
	return false
}

// A label that no series has, or a value that it never has, gives an empty panel
// and an alert that never fires.
func TestLabelsOfDashboardsAndRules(t *testing.T) {
	series := exported(t)
	found := 0
	for file, text := range shown(t) {
		for _, s := range selector.FindAllStringSubmatch(text, -1) {
			for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
				found++
				label, operator, value := m[1], m[2], m[3]
				values, ok := series[s[1]][label]
				switch {
				case !ok:
					t.Errorf("%s: %s has no label %s", file, s[1], label)
				case operator != "=" || strings.Contains(value, "$") || values == nil:
				case !slices.Contains(values, value):
					t.Errorf("%s: %s of %s is never %q, but %q", file, label, s[1], value, slices.Compact(slices.Sorted(slices.Values(values))))
				}
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d matchers found: are they written in another way?", found)
	}
}

// The dashboards know the states by their names: a new one needs its colour.
func TestDashboardsKnowEachState(t *testing.T) {
	text := shown(t)["../../dashboards/overview.json"]
	known := make(map[string]bool)
	for _, m := range regexp.MustCompile(`state="([a-z]+)"`).FindAllStringSubmatch(text, -1) {
		known[m[1]] = true
	}
	want := make(map[string]bool)
	for _, s := range machine.States {
		want[s.String()] = true
	}
	if !maps.Equal(known, want) {
		t.Errorf("the overview knows the states %v, want %v", known, want)
	}
}
