package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// What Grafana puts in place of its variables. The durations are such as no user
// would write, so that they are recognized in the parsed expression.
const (
	rateInterval = 61 * time.Second
	wholeRange   = 86399 * time.Second
)

func parse(expr string) (parser.Expr, error) {
	expr = strings.NewReplacer("$__rate_interval", rateInterval.String(), "$__range", wholeRange.String(), "$price", "0.30").Replace(expr)
	return parser.NewParser(parser.Options{}).ParseExpr(expr)
}

// rules are what an expression has to keep to.
type rules struct {
	total   bool   // it asks for one value, and may look at the whole time shown
	machine string // the matcher of machines; empty on a dashboard that chooses none
}

// faults are the rules that an expression breaks.
func (r rules) faults(expr parser.Expr) (faults []string) {
	complain := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			for _, want := range r.matchers(n.Name) {
				if !slices.ContainsFunc(n.LabelMatchers, func(m *labels.Matcher) bool { return m.String() == want }) {
					complain("%s has no matcher %s", n.Name, want)
				}
			}
			if f := function(path); counts(n.Name) != slices.Contains([]string{"rate", "increase"}, f) {
				complain("%s is inside of %q: counters belong into rate or increase, and nothing else does", n.Name, f)
			}
		case *parser.MatrixSelector:
			if f := function(path); !slices.Contains(r.ranges(f), n.Range) {
				complain("%s over %v in a query for one value: %v", f, n.Range, r.total)
			}
		case *parser.SubqueryExpr:
			complain("the subquery %s, which asks for too much", n)
		}
		return nil
	})
	return faults
}

// ranges are those that a function may have.
//
// rate and increase need $__rate_interval, which is never too short for the
// scrapes. The exception are totals: one value for the whole of the selected time range,
// evaluated once, where $__range says just that, and is what the panel is about.
// An average of a gauge is such a total too. last_over_time finds out which
// porters there were; it can say nothing wrong for any range.
func (r rules) ranges(function string) []time.Duration {
	switch function {
	case "rate", "increase":
		if r.total {
			return []time.Duration{rateInterval, wholeRange}
		}
		return []time.Duration{rateInterval}
	case "avg_over_time":
		if r.total {
			return []time.Duration{wholeRange}
		}
	case "last_over_time":
		return []time.Duration{wholeRange}
	}
	return nil
}

// matchers are those that each selector of a metric has to have.
func (r rules) matchers(metric string) []string {
	matchers := []string{`job=~"$job"`, `instance=~"$instance"`}
	ofPorter := []string{"up", "nightporter_build_info", "nightporter_ready", "nightporter_guard_active", "nightporter_guard_needed", "nightporter_journal_healthy",
		"nightporter_config_last_reload_successful"}
	if r.machine != "" && !slices.Contains(ofPorter, metric) {
		matchers = append(matchers, r.machine)
	}
	return matchers
}

// counts tells a counter by its name.
func counts(metric string) bool {
	for _, suffix := range []string{"_total", "_bucket", "_count", "_sum"} {
		if strings.HasSuffix(metric, suffix) {
			return true
		}
	}
	return false
}

// function is the innermost function that path leads through.
func function(path []parser.Node) string {
	for _, node := range slices.Backward(path) {
		if call, ok := node.(*parser.Call); ok {
			return call.Func.Name
		}
	}
	return ""
}

// labelsOf are the labels that the series of an expression have. They are known
// only where an aggregation chooses them.
func labelsOf(expr parser.Expr) (names map[string]bool, known bool) {
	switch e := expr.(type) {
	case *parser.AggregateExpr:
		if e.Op == parser.TOPK || e.Op == parser.BOTTOMK {
			return labelsOf(e.Expr)
		}
		return set(e.Grouping), !e.Without
	case *parser.ParenExpr:
		return labelsOf(e.Expr)
	case *parser.NumberLiteral:
		return nil, true
	case *parser.BinaryExpr:
		return labelsOfBinary(e)
	case *parser.Call:
		switch e.Func.Name {
		case "round":
			return labelsOf(e.Args[0])
		case "histogram_quantile":
			names, known = labelsOf(e.Args[1])
			delete(names, "le")
		case "label_replace":
			names, known = labelsOf(e.Args[0])
			if known {
				names[e.Args[1].(*parser.StringLiteral).Val] = true
			}
		}
	}
	return names, known
}

func labelsOfBinary(e *parser.BinaryExpr) (map[string]bool, bool) {
	left, known := labelsOf(e.LHS)
	right, alsoKnown := labelsOf(e.RHS)
	switch {
	case e.Op == parser.LOR:
		all := maps.Clone(left)
		maps.Copy(all, right)
		return all, known && alsoKnown
	case e.LHS.Type() == parser.ValueTypeScalar:
		return right, alsoKnown
	default:
		return left, known
	}
}

func set(names []string) map[string]bool {
	s := make(map[string]bool)
	for _, name := range names {
		s[name] = true
	}
	return s
}
