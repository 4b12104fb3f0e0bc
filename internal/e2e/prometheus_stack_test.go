package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/promtest"
	"nightporter/internal/wait"
)

// prometheusWatch is a Prometheus with its Alertmanager, and the receiver of alerts.
type prometheusWatch struct {
	*harness
	stack *promtest.Stack
	inbox *inbox
}

// inbox is a webhook for alerts.
type inbox struct {
	url string

	mu    sync.Mutex
	mails []mail
}

// mail is one alert in a message of Alertmanager.
type mail struct {
	Status              string
	Labels, Annotations map[string]string

	at time.Time
}

func newInbox(t testing.TB, host *lab.Host) *inbox {
	t.Helper()
	in := new(inbox)
	addr := serveHTTP(t, host, func(_ http.ResponseWriter, r *http.Request) {
		var message struct{ Alerts []mail }
		if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
			t.Errorf("the webhook got no JSON: %v", err)
		}
		in.mu.Lock()
		defer in.mu.Unlock()
		for _, m := range message.Alerts {
			m.at = time.Now()
			in.mails = append(in.mails, m)
		}
	})
	in.url = fmt.Sprintf("http://%s/alerts", addr)
	return in
}

// of returns the alerts of a name about a machine, in order.
func (in *inbox) of(alert, machine string) (found []mail) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, m := range in.mails {
		if m.Labels["alertname"] == alert && m.Labels["machine"] == machine {
			found = append(found, m)
		}
	}
	return found
}

// startPrometheus starts Prometheus and Alertmanager on a host. Prometheus scrapes porters and
// itself.
func startPrometheus(h *harness, host *lab.Host, porters ...string) *prometheusWatch {
	h.Helper()
	rules, err := filepath.Glob("../../dashboards/rules/*.yml")
	h.must(err)
	w := &prometheusWatch{harness: h, inbox: newInbox(h.TB, host)}
	w.stack, err = promtest.Start(h.ctx, promtest.Options{
		Host: host, Dir: h.TempDir(), Rules: rules, Webhook: w.inbox.url, History: prometheusHistory(porters[0]),
		Jobs: []promtest.Job{
			{Name: "nightporter", Targets: porters},
			{Name: "prometheus", Targets: []string{host.Addr4().String() + ":9090"}},
		},
	})
	h.must(err)
	h.Cleanup(func() {
		w.stack.Kill()
		if h.Failed() {
			h.Log(w.stack.Log())
		}
	})
	return w
}

// poll calls missing until it returns nothing. It does not interrupt the last round, whose
// result is in the message.
func (w *prometheusWatch) poll(limit time.Duration, missing func(context.Context) []string) {
	w.Helper()
	ctx := w.within(limit)
	again := time.NewTicker(promtest.Interval / 5)
	defer again.Stop()
	for {
		left := missing(w.ctx)
		if len(left) == 0 {
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			w.Fatalf("after %v:\n%s", limit, strings.Join(left, "\n"))
		}
	}
}

// waitQuery waits until a query has a result.
func (w *prometheusWatch) waitQuery(expr string) {
	w.Helper()
	if !w.hasResult(20*time.Second, expr) {
		w.Fatalf("no result: %s", expr)
	}
}

// hasResult waits for the result of a query. It returns false after the limit.
func (w *prometheusWatch) hasResult(limit time.Duration, expr string) bool {
	w.Helper()
	for ctx := w.within(limit); ; {
		if result, err := w.stack.Query(w.ctx, expr); err == nil && len(result) > 0 {
			return true
		}
		if !wait.For(ctx, promtest.Interval/5) {
			return false
		}
	}
}

// answers are the results of a dashboard's queries.
type answers struct {
	*promtest.Dashboard
	series [][]promtest.Series // of each query
}

// queryDashboard makes the queries of Grafana for a dashboard.
func (w *prometheusWatch) queryDashboard(ctx context.Context, file string, choice map[string]string) (a answers, faults []string) {
	w.Helper()
	d, err := promtest.Load("../../dashboards/" + file)
	w.must(err)
	now := time.Now()
	view := promtest.View{Range: 5 * time.Minute, Points: 800}
	chosen := promtest.Selection{}
	for _, v := range d.Variables {
		if label, selector, ok := v.Values(chosen); ok {
			values, err := w.stack.LabelValues(ctx, label, selector, now.Add(-view.Range), now)
			if err != nil || len(values) == 0 || choice[v.Name] != "" && !slices.Contains(values, choice[v.Name]) {
				faults = append(faults, fmt.Sprintf("%s, variable %s: found %q, %v; expected %q", file, v.Name, values, err, choice[v.Name]))
			}
		}
		chosen[v.Name] = v.Choose(choice[v.Name])
	}
	a.Dashboard = d
	for _, q := range d.Queries {
		expr, err := view.Expand(q, chosen)
		w.must(err)
		var series []promtest.Series
		if q.Instant {
			series, err = w.stack.Query(ctx, expr)
		} else {
			series, err = w.stack.QueryRange(ctx, expr, now.Add(-view.Range), now, view.Step(q))
		}
		series = slices.DeleteFunc(series, func(s promtest.Series) bool { return samples(s) == 0 })
		if err != nil || len(series) == 0 {
			faults = append(faults, fmt.Sprintf("%s, %s (%s): no sample, %v: %s", file, q.Panel, q.Legend, err, expr))
		}
		a.series = append(a.series, series)
	}
	return a, faults
}

// samples counts the samples that Grafana draws.
func samples(s promtest.Series) (n int) {
	for _, p := range s.Points {
		if !math.IsNaN(p.Value) {
			n++
		}
	}
	return n
}

// maxValue returns the greatest value of all.
func maxValue(all []promtest.Series) float64 {
	best := math.Inf(-1)
	for _, s := range all {
		for _, p := range s.Points {
			best = max(best, p.Value) // series of NaN were removed
		}
	}
	return best
}

// text formats the results: panel, query, series and samples.
func (a answers) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", a.Title)
	for i, q := range a.Queries {
		n, names := 0, []string{}
		for _, s := range a.series[i] {
			n += samples(s)
			names = append(names, fmt.Sprintf("%s %.4g", labels(s), lastValue(s)))
		}
		fmt.Fprintf(&b, "  %-28s %-40.40s series %3d, samples %5d: %.160s\n", q.Panel, q.Legend, len(a.series[i]), n, strings.Join(names, "; "))
	}
	return b.String()
}

func labels(s promtest.Series) string {
	var values []string
	for _, name := range slices.Sorted(maps.Keys(s.Labels)) {
		values = append(values, s.Labels[name])
	}
	return strings.Join(values, " ")
}

// lastValue returns the last value that is a number.
func lastValue(s promtest.Series) (value float64) {
	for _, p := range s.Points {
		if !math.IsNaN(p.Value) {
			value = p.Value
		}
	}
	return value
}
