package promtest

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const board = `{
  "title": "A board",
  "templating": {"list": [
    {"name": "datasource", "type": "datasource", "query": "prometheus"},
    {"name": "instance", "type": "query", "query": "label_values(a_info{job=~\"$job\"}, instance)", "allValue": ".+", "multi": true},
    {"name": "price", "type": "textbox", "query": "0.30"}
  ]},
  "panels": [
    {"type": "row", "title": "A row"},
    {"title": "Now", "targets": [{"expr": "a", "instant": true, "legendFormat": "one"}, {"expr": "b", "range": true}]},
    {"title": "Bars", "interval": "5m", "targets": [{"expr": "c", "range": true}]},
    {"type": "row", "title": "Closed", "collapsed": true, "panels": [{"title": "Inside", "targets": [{"expr": "e", "range": true}]}]}
  ],
  "annotations": {"list": [{"name": "Moments", "target": {"expr": "d", "range": true}}]}
}`

func TestParse(t *testing.T) {
	got, err := parse([]byte(board))
	if err != nil {
		t.Fatal(err)
	}
	want := &Dashboard{
		Title: "A board",
		Variables: []Variable{
			{Name: "datasource", Type: "datasource", Query: "prometheus"},
			{Name: "instance", Type: "query", Query: `label_values(a_info{job=~"$job"}, instance)`, All: ".+", Multi: true},
			{Name: "price", Type: "textbox", Query: "0.30"},
		},
		Queries: []Query{
			{Panel: "Now", Expr: "a", Instant: true, Legend: "one"},
			{Panel: "Now", Expr: "b"},
			{Panel: "Bars", Expr: "c", MinStep: 5 * time.Minute},
			{Panel: "Inside", Expr: "e"},
			{Panel: "Moments", Expr: "d", Legend: "annotation", Annotation: true},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := parse([]byte(`{"panels": [{"title": "p", "interval": "often"}]}`)); err == nil {
		t.Error("an interval that is none is no error")
	}
}

// The texts are those that Grafana puts into a query.
func TestChoose(t *testing.T) {
	for _, c := range []struct {
		v           Variable
		value, want string
	}{
		{Variable{Type: "textbox", Query: "0.30"}, "", "0.30"},
		{Variable{Type: "query", All: ".+", Multi: true}, "", ".+"},
		{Variable{Type: "query", All: ".+", Multi: true}, "10.77.0.2:9717", `10\\.77\\.0\\.2:9717`},
		{Variable{Type: "query", All: ".+", Multi: true}, `a\b[c]`, `a\\\\b\\[c\\]`},
		{Variable{Type: "query"}, "nas.lan", "nas.lan"},
		{Variable{Type: "query"}, `a"b\c`, `a\"b\\c`},
	} {
		if got := c.v.Choose(c.value); got != c.want {
			t.Errorf("%q of %+v is %s, want %s", c.value, c.v, got, c.want)
		}
	}
}

func TestExpand(t *testing.T) {
	v := View{Range: 5 * time.Minute, Points: 1000}
	chosen := Selection{"job": ".+", "price": "0.30"}
	for _, c := range []struct {
		q    Query
		want string
	}{
		{Query{Expr: `a{job=~"$job"} * $price`}, `a{job=~".+"} * 0.30`},
		{Query{Expr: `rate(a[$__rate_interval])`}, `rate(a[2000ms])`}, // four scrapes
		{Query{Expr: `rate(a[$__rate_interval])`, MinStep: 5 * time.Minute}, `rate(a[300500ms])`},
		{Query{Expr: `rate(a[$__rate_interval])`, Annotation: true}, `rate(a[3500ms])`}, // 100 points
		{Query{Expr: `increase(a[$__range])`}, `increase(a[300000ms])`},
		{Query{Expr: `max_over_time(a[${__interval}])`}, `max_over_time(a[500ms])`},
	} {
		got, err := v.Expand(c.q, chosen)
		if err != nil || got != c.want {
			t.Errorf("%+v is %s, %v, want %s", c.q, got, err, c.want)
		}
	}
	if got, err := v.Expand(Query{Expr: `a{machine="$machine"}`}, chosen); err == nil {
		t.Errorf("a variable that there is not gives %s", got)
	}
}

func TestValues(t *testing.T) {
	v := Variable{Type: "query", Query: `label_values(a_info{job=~"$job", instance=~"$instance"}, machine)`}
	label, selector, ok := v.Values(Selection{"job": ".+", "instance": "x"})
	if !ok || label != "machine" || selector != `a_info{job=~".+", instance=~"x"}` {
		t.Errorf("%q of %q, %v", label, selector, ok)
	}
	if _, _, ok := (Variable{Type: "textbox", Query: "0.30"}).Values(nil); ok {
		t.Error("a text asks for values")
	}
}

func TestPoint(t *testing.T) {
	var got []Point
	if err := json.Unmarshal([]byte(`[[1435781430.781, "1.5"], [2, "+Inf"]]`), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Point{{1435781430.781, 1.5}, {2, math.Inf(1)}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, text := range []string{`[["now", "1"]]`, `[[1, 1]]`, `[[1, "one"]]`, `["1"]`} {
		if err := json.Unmarshal([]byte(text), &got); err == nil {
			t.Errorf("%s is %v, want an error", text, got)
		}
	}
}
