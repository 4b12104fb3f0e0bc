package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter/internal/machine"
	"nightporter/internal/promtest"
)

// TestPrometheus: a real Prometheus has a result for each query of the dashboards and the rules
// after the scenario, and a real Alertmanager reports a failed wake.
func TestPrometheus(t *testing.T) {
	promtest.Need(t, promtest.Promtool)
	promtest.Need(t, promtest.Prometheus)
	promtest.Need(t, promtest.Alertmanager)
	t.Parallel()
	began := time.Now()
	ctx, home := newLANFor(t, 3*time.Minute)
	host, err := home.AddHost("monitor", netip.MustParsePrefix("10.77.0.4/24"))
	if err != nil {
		t.Fatal(err)
	}
	phone := newWebhook(t, host)
	n := &scenario{hook: phone.url}
	n.harness = openOn(ctx, t, home, n.conf(""))
	n.startUnfitPorter()
	porters := []string{n.lan.Porter().Addr4().String() + ":9717", n.late.Host().Addr4().String() + ":9717"}
	n.prometheus = startPrometheus(n.harness, host, porters...)
	n.addMachines()
	n.prometheus.waitQuery(`count(up{job="nightporter"} == 1) == 2`)

	n.registerAll()
	n.sleepUntilClaimed(n.brick)
	n.startConnecting(n.lan.Client(), n.brick.Addr4(), 22)
	n.forgetDuringWake()
	n.wakeUnready()
	n.wakeByEachTrigger()
	n.failAndConflict()
	n.sendInvalid()
	n.prometheus.wantDelivered("brick", n.waitMove(0, "brick", "waking", "asleep", machine.WhyAttemptsGone).Time)
	n.prometheus.waitProblems("porter not ready", "porter without its guard", "porter cannot store", "configuration not reloaded")
	n.late.Kill()
	t.Logf("the night took %v", time.Since(began).Round(time.Millisecond))

	n.prometheus.waitProblems("wake failed", "wake failed, and forgotten", "service not ready in time", "address used by another host", "did not fall asleep", "porter down")
	n.prometheus.waitDashboards(porters)
	n.prometheus.waitRules()
	n.prometheus.wantUnresolved("brick")
	t.Logf("all of it took %v", time.Since(began).Round(time.Millisecond))
}

// wantDelivered waits until the webhook has an alert about a failed wake.
func (w *prometheusWatch) wantDelivered(machine string, failed time.Time) {
	w.Helper()
	w.poll(20*time.Second, func(context.Context) []string {
		if len(w.inbox.of("NightporterWakeFailed", machine)) > 0 {
			return nil
		}
		return []string{"the webhook was not told of " + machine}
	})
	m := w.inbox.of("NightporterWakeFailed", machine)[0]
	w.Logf("told %v after the wake failed: %s", m.at.Sub(failed).Round(time.Millisecond), m.Annotations["summary"])
	if m.Status != "firing" || m.Labels["severity"] != "critical" || m.Annotations["summary"] != machine+" did not wake." ||
		!contains(m.Annotations["description"], machine, "requested by tcp", w.lan.Porter().Addr4().String()) {
		w.Errorf("the webhook received %+v", m)
	}
}

// wantUnresolved checks that the alert of a failed wake is not resolved: that takes half an hour without
// another.
func (w *prometheusWatch) wantUnresolved(machine string) {
	w.Helper()
	for _, m := range w.inbox.of("NightporterWakeFailed", machine) {
		if m.Status != "firing" {
			w.Errorf("the webhook received that the failed wake of %s is %s", machine, m.Status)
		}
	}
	active, err := w.stack.Told(w.within(5 * time.Second))
	w.must(err)
	for _, a := range active {
		if a.Labels["alertname"] == "NightporterWakeFailed" && a.Labels["machine"] == machine {
			return
		}
	}
	w.Errorf("Alertmanager has no alert of %s any more: %+v", machine, active)
}

// waitProblems waits until the overview shows the problems.
func (w *prometheusWatch) waitProblems(problems ...string) {
	w.Helper()
	w.poll(20*time.Second, func(ctx context.Context) (left []string) {
		a, _ := w.queryDashboard(ctx, "overview.json", nil)
		var found []string
		for i, q := range a.Queries {
			for _, s := range a.series[i] {
				if q.Panel == "Problems" {
					found = append(found, s.Labels["problem"])
				}
			}
		}
		for _, p := range problems {
			if !slices.Contains(found, p) {
				left = append(left, fmt.Sprintf("%q is not among the problems: %q", p, found))
			}
		}
		return left
	})
}

// waitDashboards waits until each query of each dashboard has a result, for all machines and
// porters and for a selection.
func (w *prometheusWatch) waitDashboards(porters []string) {
	w.Helper()
	files := []string{"overview.json", "machine.json", "porter.json"}
	for _, file := range files {
		choice := map[string]string{}
		if file == "machine.json" {
			choice["machine"] = "nas"
		}
		w.Log(w.waitShown(file, choice, porters).text())
	}
	for _, file := range files {
		w.waitShown(file, map[string]string{"machine": "nas", "instance": porters[0], "job": "nightporter"}, nil)
	}
}

// waitShown waits until each query of a dashboard has a result that shows something of these
// porters.
func (w *prometheusWatch) waitShown(file string, choice map[string]string, porters []string) (a answers) {
	w.Helper()
	w.poll(20*time.Second, func(ctx context.Context) (faults []string) {
		a, faults = w.queryDashboard(ctx, file, choice)
		if len(faults) == 0 && porters != nil {
			faults = a.missing(porters)
		}
		return faults
	})
	return a
}

// missing returns the queries whose results show nothing, and results of other instances.
func (a answers) missing(porters []string) (faults []string) {
	for i, q := range a.Queries {
		where := a.Title + ", " + q.Panel + " (" + q.Legend + ")"
		if top := maxValue(a.series[i]); top <= 0 {
			faults = append(faults, fmt.Sprintf("%s: the greatest value is %v, although it happened", where, top))
		}
		for _, s := range a.series[i] {
			if instance, ok := s.Labels["instance"]; ok && !slices.Contains(porters, instance) {
				faults = append(faults, fmt.Sprintf("%s: %s is no porter", where, instance))
			}
		}
	}
	return faults
}

// ruleSelectors matches the series in a rule.
var ruleSelectors = regexp.MustCompile(`(?:machine:)?nightporter_[a-z_]+(?::[a-z0-9]+)?(?:\{[^}]*\})?|\bup\b(?:\{[^}]*\})?`)

// silentAlerts are the alerts that the scenario does not raise, with the reason.
var silentAlerts = map[string]string{
	"NightporterOverrun": "takes thousands of machines that speak at once",
}

// waitRules waits until each rule has been evaluated, has found its series, and has a result: a
// recording rule its series, an alert itself, pending or firing.
func (w *prometheusWatch) waitRules() {
	w.Helper()
	var lines []string
	w.poll(20*time.Second, func(ctx context.Context) (faults []string) {
		lines = nil
		all, err := w.stack.Rules(ctx)
		if err != nil || len(all) < 18 {
			return []string{fmt.Sprintf("%d rules, %v", len(all), err)}
		}
		for _, r := range all {
			line, wrong := w.checkRule(ctx, r)
			lines, faults = append(lines, line), append(faults, wrong...)
		}
		return faults
	})
	w.Log("rules\n" + strings.Join(lines, "\n"))
}

func (w *prometheusWatch) checkRule(ctx context.Context, r promtest.Rule) (line string, faults []string) {
	const night = "[10m])"
	if r.Health != "ok" || r.LastError != "" {
		faults = append(faults, fmt.Sprintf("%s is %s: %s", r.Name, r.Health, r.LastError))
	}
	for _, selector := range ruleSelectors.FindAllString(r.Query, -1) {
		if answer, err := w.stack.Query(ctx, "last_over_time("+selector+night); err != nil || len(answer) == 0 {
			faults = append(faults, fmt.Sprintf("%s asks for %s: no series, %v", r.Name, selector, err))
		}
	}
	series := r.Name
	if r.Type == "alerting" {
		series = fmt.Sprintf("ALERTS{alertname=%q}", r.Name)
	}
	answer, err := w.stack.Query(ctx, "last_over_time("+series+night)
	if something := len(answer) > 0; err != nil || something == (silentAlerts[r.Name] != "") {
		faults = append(faults, fmt.Sprintf("%s gave %v, %v; expected something (%s)", r.Name, answer, err, silentAlerts[r.Name]))
	}
	var states []string
	for _, a := range r.Alerts {
		states = append(states, a.State+": "+a.Annotations["summary"])
	}
	return fmt.Sprintf("  %-60s %d series %s", r.Name, len(answer), strings.Join(states, " ")), faults
}
