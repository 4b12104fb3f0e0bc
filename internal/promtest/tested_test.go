package promtest

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// testFile is as much of a unit test of promtool as has to be compared with the
// rules.
type testFile struct {
	RuleFiles          []string `yaml:"rule_files"`
	EvaluationInterval string   `yaml:"evaluation_interval"`
	Tests              []struct {
		Name        string
		Interval    string
		InputSeries []struct{ Series, Values string } `yaml:"input_series"`

		AlertRuleTest []struct {
			EvalTime  string `yaml:"eval_time"`
			Alertname string
			ExpAlerts []struct {
				ExpLabels      map[string]string `yaml:"exp_labels"`
				ExpAnnotations map[string]string `yaml:"exp_annotations"`
			} `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`

		PromqlExprTest []struct {
			Expr       string
			EvalTime   string `yaml:"eval_time"`
			ExpSamples []struct {
				Labels string
				Value  float64
			} `yaml:"exp_samples"`
		} `yaml:"promql_expr_test"`
	}
}

// tried is how often a rule was seen to give something, and nothing.
type tried struct{ something, nothing int }

// TestEveryRuleIsTested: each alert is tested when it fires and when it does
// not, each recording rule when it has something to record and when not.
func TestEveryRuleIsTested(t *testing.T) {
	tests := make(map[string]*tried)
	of := func(name string, found int) {
		if tests[name] == nil {
			tests[name] = new(tried)
		}
		if found > 0 {
			tests[name].something++
		} else {
			tests[name].nothing++
		}
	}
	for _, file := range files(t, filepath.Join(shippedRules, "tests")) {
		var f testFile
		decode(t, file, &f)
		for _, test := range f.Tests {
			for _, a := range test.AlertRuleTest {
				of(a.Alertname, len(a.ExpAlerts))
				for _, alert := range a.ExpAlerts {
					speaks(t, fmt.Sprintf("%s: %s", file, a.Alertname), alert.ExpLabels, alert.ExpAnnotations)
				}
			}
			for _, e := range test.PromqlExprTest {
				name, _, _ := strings.Cut(e.Expr, "{")
				of(name, len(e.ExpSamples))
			}
		}
	}
	for _, r := range rules(t) {
		name := r.Alert + r.Record
		if n := tests[name]; n == nil || n.something == 0 || n.nothing == 0 {
			t.Errorf("%s: found tests %+v, expected one at least with a result and one without", name, n)
		}
		delete(tests, name)
	}
	for name := range tests {
		t.Errorf("%s is tested, but there is no such rule", name)
	}
}

// speaks checks that an alert names the machine it is about, or the porter.
func speaks(t *testing.T, where string, labels, annotations map[string]string) {
	t.Helper()
	summary, description := annotations["summary"], annotations["description"]
	if m := labels["machine"]; !strings.Contains(summary, m) || !strings.Contains(description, m) {
		t.Errorf("%s does not name %s: %q, %q", where, m, summary, description)
	}
	if i := labels["instance"]; !strings.Contains(description, i) || labels["machine"] == "" && !strings.Contains(summary, i) {
		t.Errorf("%s does not name %s: %q, %q", where, i, summary, description)
	}
}
