package promtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

// Series is a series of an answer: one point at least.
type Series struct {
	Labels map[string]string
	Points []Point
}

// Point is a sample at a moment, in seconds since 1970.
type Point struct{ At, Value float64 }

// UnmarshalJSON reads [1435781430.781, "1"].
func (p *Point) UnmarshalJSON(text []byte) error {
	var pair [2]json.RawMessage
	if err := json.Unmarshal(text, &pair); err != nil {
		return err
	}
	var value string
	if err := json.Unmarshal(pair[0], &p.At); err != nil {
		return err
	}
	if err := json.Unmarshal(pair[1], &value); err != nil {
		return err
	}
	v, err := strconv.ParseFloat(value, 64)
	p.Value = v
	return err
}

// Rule is what Prometheus says of a rule.
type Rule struct {
	Name      string
	Type      string // recording, or alerting
	Query     string
	Health    string // ok, err, or unknown before the first evaluation
	LastError string
	Alerts    []Alert
}

// Alert is an alert that is active.
type Alert struct {
	Labels, Annotations map[string]string
	State               string // pending or firing
}

// Query asks for a value at this moment. Without data the answer is empty.
func (s *Stack) Query(ctx context.Context, expr string) ([]Series, error) {
	return s.query(ctx, "/api/v1/query", url.Values{"query": {expr}})
}

// QueryRange asks for the values from a moment to another, a step apart.
func (s *Stack) QueryRange(ctx context.Context, expr string, from, to time.Time, step time.Duration) ([]Series, error) {
	return s.query(ctx, "/api/v1/query_range", url.Values{
		"query": {expr}, "start": {moment(from)}, "end": {moment(to)}, "step": {seconds(step)},
	})
}

func moment(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }

func (s *Stack) query(ctx context.Context, path string, params url.Values) ([]Series, error) {
	var data struct {
		Result []struct {
			Metric map[string]string
			Value  *Point
			Values []Point
		}
	}
	if err := s.ask(ctx, path, params, &data); err != nil {
		return nil, fmt.Errorf("query %s: %w", params.Get("query"), err)
	}
	var all []Series
	for _, r := range data.Result {
		if r.Value != nil {
			r.Values = append(r.Values, *r.Value)
		}
		all = append(all, Series{Labels: r.Metric, Points: r.Values})
	}
	return all, nil
}

// LabelValues returns the values of a label in the series of a selector that
// there were between two moments.
func (s *Stack) LabelValues(ctx context.Context, label, selector string, from, to time.Time) (values []string, err error) {
	params := url.Values{"match[]": {selector}, "start": {moment(from)}, "end": {moment(to)}}
	err = s.ask(ctx, "/api/v1/label/"+url.PathEscape(label)+"/values", params, &values)
	return values, err
}

// Rules returns all rules, in the order of their files.
func (s *Stack) Rules(ctx context.Context) (all []Rule, err error) {
	var data struct {
		Groups []struct{ Rules []Rule }
	}
	err = s.ask(ctx, "/api/v1/rules", nil, &data)
	for _, g := range data.Groups {
		all = append(all, g.Rules...)
	}
	return all, err
}

// Told returns the alerts that Alertmanager knows to be active.
func (s *Stack) Told(ctx context.Context) (all []Alert, err error) {
	text, err := s.get(ctx, alertmanagerPort, "/api/v2/alerts", url.Values{"active": {"true"}})
	if err != nil {
		return nil, err
	}
	var answer []struct{ Labels, Annotations map[string]string }
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("alerts: %w", err)
	}
	for _, a := range answer {
		all = append(all, Alert{Labels: a.Labels, Annotations: a.Annotations, State: "firing"})
	}
	return all, nil
}

// ask has Prometheus answer a question.
func (s *Stack) ask(ctx context.Context, path string, params url.Values, data any) error {
	text, err := s.get(ctx, prometheusPort, path, params)
	if err != nil {
		return err
	}
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s: %s", path, answer.Status, answer.Error)
	}
	return json.Unmarshal(answer.Data, data)
}

func (s *Stack) get(ctx context.Context, port uint16, path string, params url.Values) ([]byte, error) {
	u := url.URL{Scheme: "http", Host: netip.AddrPortFrom(s.host.Addr4(), port).String(), Path: path, RawQuery: params.Encode()}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %d: %s", path, resp.StatusCode, text)
	}
	return text, err
}
