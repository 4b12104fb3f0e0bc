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

// TestPrometheus: a real Prometheus has an answer to every query of the
// dashboards and the rules after an eventful night, and a real Alertmanager tells
// of a machine that could not be woken.
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
	n.unfit()
	porters := []string{n.lan.Porter().Addr4().String() + ":9717", n.late.Host().Addr4().String() + ":9717"}
	n.w = startPrometheus(n.harness, host, porters...)
	n.machines()
	n.w.until(`count(up{job="nightporter"} == 1) == 2`)

	n.known()
	n.falls(n.brick)
	n.startConnecting(n.lan.Client(), n.brick.Addr4(), 22)
	n.lost()
	n.notReady()
	n.everyTrigger()
	n.misfortunes()
	n.nuisances()
	n.w.delivered("brick", n.waitMove(0, "brick", "waking", "asleep", machine.WhyAttemptsGone).Time)
	n.w.needs("porter not ready", "porter without its guard", "porter cannot store", "configuration not reloaded")
	n.late.Kill()
	t.Logf("the night took %v", time.Since(began).Round(time.Millisecond))

	n.w.needs("wake failed", "wake failed, and forgotten", "service not ready in time", "address used by another host", "did not fall asleep", "porter down")
	n.w.dashboards(porters)
	n.w.rules()
	n.w.stays("brick")
	t.Logf("all of it took %v", time.Since(began).Round(time.Millisecond))
}

// delivered waits until the webhook was told that a machine could not be woken.
func (w *prometheusWatch) delivered(machine string, failed time.Time) {
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
		w.Errorf("the webhook was told %+v", m)
	}
}

// stays checks that the alert of a failed wake is not taken back: half an hour
// has to pass without another.
func (w *prometheusWatch) stays(machine string) {
	w.Helper()
	for _, m := range w.inbox.of("NightporterWakeFailed", machine) {
		if m.Status != "firing" {
			w.Errorf("the webhook was told that the failed wake of %s is %s", machine, m.Status)
		}
	}
	active, err := w.stack.Told(w.within(5 * time.Second))
	w.must(err)
	for _, a := range active {
		if a.Labels["alertname"] == "NightporterWakeFailed" && a.Labels["machine"] == machine {
			return
		}
	}
	w.Errorf("Alertmanager knows nothing of %s any more: %+v", machine, active)
}

// needs waits until the overview says what is wrong.
func (w *prometheusWatch) needs(problems ...string) {
	w.Helper()
	w.poll(20*time.Second, func(ctx context.Context) (left []string) {
		a, _ := w.show(ctx, "overview.json", nil)
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

// dashboards waits until every query of every dashboard has an answer, for all
// that there is and for what somebody chose.
func (w *prometheusWatch) dashboards(porters []string) {
	w.Helper()
	files := []string{"overview.json", "machine.json", "porter.json"}
	for _, file := range files {
		choice := map[string]string{}
		if file == "machine.json" {
			choice["machine"] = "nas"
		}
		w.Log(w.shown(file, choice, porters).text())
	}
	for _, file := range files {
		w.shown(file, map[string]string{"machine": "nas", "instance": porters[0], "job": "nightporter"}, nil)
	}
}

// shown waits until every query of a dashboard has an answer, and one in which
// something is to be seen of these porters.
func (w *prometheusWatch) shown(file string, choice map[string]string, porters []string) (a answers) {
	w.Helper()
	w.poll(20*time.Second, func(ctx context.Context) (faults []string) {
		a, faults = w.show(ctx, file, choice)
		if len(faults) == 0 && porters != nil {
			faults = a.missing(porters)
		}
		return faults
	})
	return a
}

// faults looks at the answers as somebody who looks at the dashboard: something
// happened in the night that shows in each of them, and they are of porters only.
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

// asked are the series that a rule asks for.
var ruleSelectors = regexp.MustCompile(`(?:machine:)?nightporter_[a-z_]+(?::[a-z0-9]+)?(?:\{[^}]*\})?|\bup\b(?:\{[^}]*\})?`)

// quiet are the alerts that do not come in the night.
var silentAlerts = map[string]string{
	"NightporterOverrun": "takes thousands of machines that speak at once",
}

// rules waits until every rule has been evaluated, has found the series that it
// asks for, and gave something: a recording rule its series, an alert itself, be
// it as one that still waits.
func (w *prometheusWatch) rules() {
	w.Helper()
	var lines []string
	w.poll(20*time.Second, func(ctx context.Context) (faults []string) {
		lines = nil
		all, err := w.stack.Rules(ctx)
		if err != nil || len(all) < 18 {
			return []string{fmt.Sprintf("%d rules, %v", len(all), err)}
		}
		for _, r := range all {
			line, wrong := w.rule(ctx, r)
			lines, faults = append(lines, line), append(faults, wrong...)
		}
		return faults
	})
	w.Log("rules\n" + strings.Join(lines, "\n"))
}

func (w *prometheusWatch) rule(ctx context.Context, r promtest.Rule) (line string, faults []string) {
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
