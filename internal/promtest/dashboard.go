package promtest

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"
)

// Dashboard is a dashboard as far as it asks Prometheus.
type Dashboard struct {
	Title     string
	Variables []Variable
	Queries   []Query // of all panels, and then of all annotations
}

// Variable is a variable of a dashboard.
type Variable struct {
	Name  string
	Type  string // query, textbox or datasource
	Query string // label_values(selector, label), or the text
	All   string // what stands for all values; empty: one is chosen
	Multi bool
}

// Query is one query of a panel or an annotation.
type Query struct {
	Panel      string // its title, or the annotation's name
	Legend     string
	Expr       string
	Instant    bool
	Annotation bool
	MinStep    time.Duration // 0: that of the data source
}

// Load reads a dashboard.
func Load(path string) (*Dashboard, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

type targetJSON struct {
	Expr, LegendFormat string
	Instant            bool
}

type panelJSON struct {
	Title, Interval string
	Targets         []targetJSON
	Panels          []panelJSON // of a row that is closed
}

func parse(text []byte) (*Dashboard, error) {
	var file struct {
		Title      string
		Templating struct {
			List []struct {
				Name, Type, AllValue string
				Query                string
				Multi                bool
			}
		}
		Panels      []panelJSON
		Annotations struct {
			List []struct {
				Name   string
				Target targetJSON
			}
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	d := &Dashboard{Title: file.Title}
	for _, v := range file.Templating.List {
		d.Variables = append(d.Variables, Variable{Name: v.Name, Type: v.Type, Query: v.Query, All: v.AllValue, Multi: v.Multi})
	}
	for _, p := range file.Panels {
		for _, p := range append(p.Panels, p) {
			queries, err := p.queries()
			if err != nil {
				return nil, err
			}
			d.Queries = append(d.Queries, queries...)
		}
	}
	for _, a := range file.Annotations.List {
		d.Queries = append(d.Queries, Query{Panel: a.Name, Legend: "annotation", Expr: a.Target.Expr, Annotation: true})
	}
	return d, nil
}

func (p panelJSON) queries() (all []Query, err error) {
	step := time.Duration(0)
	if p.Interval != "" {
		if step, err = time.ParseDuration(p.Interval); err != nil {
			return nil, fmt.Errorf("panel %s: interval: %w", p.Title, err)
		}
	}
	for _, t := range p.Targets {
		all = append(all, Query{Panel: p.Title, Legend: t.LegendFormat, Expr: t.Expr, Instant: t.Instant, MinStep: step})
	}
	return all, nil
}

// Selection is the selected values of a dashboard: for each variable its
// text in a query.
type Selection map[string]string

// Choose returns the text in a query of a variable's value; empty: all values.
func (v Variable) Choose(value string) string {
	switch {
	case v.Type == "textbox":
		return v.Query
	case value == "":
		return v.All
	case v.Multi: // it is part of a regular expression, in a string in quotes
		return special.ReplaceAllString(strings.ReplaceAll(value, `\`, `\\\\`), `\\$0`)
	}
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value)
}

var special = regexp.MustCompile(`[$^*{}\[\]'+?.()|]`)

// View is what is seen of time: a range that ends now, on so many points.
type View struct {
	Range  time.Duration
	Points int
}

// annotationPoints is how many points Grafana asks for an annotation.
const annotationPoints = 100

// Step returns the time between two points of a query.
func (v View) Step(q Query) time.Duration {
	points := v.Points
	if q.Annotation {
		points = annotationPoints
	}
	return max(q.MinStep, Interval, v.Range/time.Duration(points))
}

var inQuery = regexp.MustCompile(`\$\{?([A-Za-z_]+)\}?`)

// Expand returns what Grafana asks for a query, or an error if it has a variable
// that there is not. Grafana's $__rate_interval is four scrapes at least, and a
// scrape more than a step.
func (v View) Expand(q Query, chosen Selection) (string, error) {
	step := v.Step(q)
	own := Selection{
		"__range":         ms(v.Range),
		"__interval":      ms(step),
		"__rate_interval": ms(max(step+Interval, 4*Interval)),
	}
	var missing []string
	expr := inQuery.ReplaceAllStringFunc(q.Expr, func(found string) string {
		name := inQuery.FindStringSubmatch(found)[1]
		if text, ok := own[name]; ok {
			return text
		}
		if text, ok := chosen[name]; ok {
			return text
		}
		missing = append(missing, found)
		return found
	})
	if len(missing) > 0 {
		return "", fmt.Errorf("%s: found %q, expected only variables of the dashboard: %s", q.Panel, missing, q.Expr)
	}
	return expr, nil
}

func ms(d time.Duration) string { return fmt.Sprintf("%dms", d.Milliseconds()) }

var labelValues = regexp.MustCompile(`^label_values\((.+),\s*([a-z_]+)\)$`)

// Values takes a variable's query apart: of which label in which series its
// values are. ok is false for a variable that Prometheus is not asked for.
func (v Variable) Values(chosen Selection) (label, selector string, ok bool) {
	found := labelValues.FindStringSubmatch(v.Query)
	if v.Type != "query" || found == nil {
		return "", "", false
	}
	selector = inQuery.ReplaceAllStringFunc(found[1], func(name string) string {
		return chosen[inQuery.FindStringSubmatch(name)[1]]
	})
	return found[2], selector, true
}
