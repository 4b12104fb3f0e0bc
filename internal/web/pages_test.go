package web_test

import (
	"errors"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"nightporter/internal/guard"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
)

func TestProbes(t *testing.T) {
	tests := []struct {
		name, method, path string
		ready              error
		status             int
		body               string
	}{
		{"alive", "GET", "/-/healthy", errors.New("not yet"), 200, "nightporter is healthy.\n"},
		{"ready", "GET", "/-/ready", nil, 200, "nightporter is ready.\n"},
		{"not ready", "GET", "/-/ready", errors.New("3 claims to restore"), 503, "nightporter is not ready: 3 claims to restore\n"},
		{"wrong method", "POST", "/-/ready", nil, 405, "Method Not Allowed\n"},
		{"no such page", "GET", "/robots.txt", nil, 404, "404 page not found\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := ask(t, &house{ready: tt.ready}, tt.method, tt.path)
			if w.Code != tt.status || w.Body.String() != tt.body {
				t.Errorf("status %d, %q; want %d, %q", w.Code, w.Body, tt.status, tt.body)
			}
		})
	}
}

func TestPage(t *testing.T) {
	w := ask(t, &house{machines: []machine.Status{named("pc"), nas()}}, "GET", "/")
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("status %d, content %q", w.Code, w.Header().Get("Content-Type"))
	}
	page := w.Body.String()
	for _, want := range []string{
		`<html lang="en" data-version="1.2.3">`, `<title>nightporter</title>`, `<main data-last="0">`, "Version 1.2.3",
		`href="/metrics"`, `href="/api/v1/machines"`, `href="/-/healthy"`, `href="/-/ready"`,
		`<h2 id="machines">Machines</h2>`, `>State</th>`, `<bdi title="nas">nas</bdi><small>192.0.2.5</small><small class="stuck">2001:db8::5 waits: the network is out</small></th>`,
		`since <time datetime="2026-01-02T00:00:00Z">`, `ready in 15.0 s · boot 12.3 s`, `192.0.2.9 for 22/tcp`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Index(page, `data-key="nas"`) > strings.Index(page, `data-key="pc"`) {
		t.Error("the machines are not in order")
	}
}

// The page is quiet about addresses while all is well. It says of each that cannot
// be claimed why.
func TestPageTellsOfAddresses(t *testing.T) {
	at := func(n byte, s machine.Standing, reason string) machine.AddressStatus {
		return machine.AddressStatus{IP: netip.AddrFrom4([4]byte{192, 0, 2, n}), Standing: s, Reason: reason}
	}
	for _, tt := range []struct {
		name string
		all  []machine.AddressStatus
		want string
	}{
		{"none", nil, `nas</bdi></th>`},
		{"well", []machine.AddressStatus{at(1, machine.Own, ""), at(2, machine.Returned, "")}, `<small>192.0.2.1</small><small>192.0.2.2</small></th>`},
		{"claimed while the network is out", []machine.AddressStatus{at(1, machine.Claimed, "the interface is unavailable")}, `<small>192.0.2.1</small></th>`},
		{"many", []machine.AddressStatus{at(1, machine.Own, ""), at(2, machine.Own, ""), at(3, machine.Own, "")},
			`<small>192.0.2.1</small><small>and 2 more</small></th>`},
		{"conceded", []machine.AddressStatus{at(1, machine.Claimed, ""), at(2, machine.Conceded, "another host uses it")},
			`<small>192.0.2.1</small><small class="stuck">192.0.2.2 is left alone: another host uses it</small></th>`},
		{"all wait", []machine.AddressStatus{at(1, machine.Waiting, "a"), at(2, machine.Waiting, "b"), at(3, machine.Waiting, "<c>")},
			`<small class="stuck">192.0.2.1 waits: a</small><small class="stuck">and 2 more</small></th>`},
		{"hostile", []machine.AddressStatus{at(1, machine.Waiting, "<b>")}, `<small class="stuck">192.0.2.1 waits: &lt;b&gt;</small></th>`},
	} {
		s := nas()
		s.Addresses = tt.all
		if page := ask(t, &house{machines: []machine.Status{s}}, "GET", "/").Body.String(); !strings.Contains(page, tt.want) {
			t.Errorf("%s: the page lacks %s", tt.name, tt.want)
		}
	}
}

func TestPageWithoutMachines(t *testing.T) {
	page := ask(t, new(house), "GET", "/").Body.String()
	if !contains(page, "No machine is registered.", "Nothing has happened yet.") || strings.Contains(page, "<bdi") {
		t.Error("an empty house is not said to be empty")
	}
}

func TestPageTellsTroubles(t *testing.T) {
	h := &house{
		ready: errors.New("eth0 has no carrier"), guard: guard.Status{Reason: "no nftables"}, storage: journal.Health{Reason: "disk full"},
	}
	page := ask(t, h, "GET", "/").Body.String()
	if !contains(page, "Not ready: eth0 has no carrier", "No guard: no nftables", "Not stored: disk full") {
		t.Errorf("what is wrong is not told: %s", page)
	}
}

func contains(s string, words ...string) bool {
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(s, w) })
}

func TestHostileName(t *testing.T) {
	for _, name := range []string{"<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "{{.Version}}"} {
		h := &house{machines: []machine.Status{named(name)}}
		h.happen(name)
		page := ask(t, h, "GET", "/").Body.String()
		for _, tag := range []string{"<script>", "<img", ">1.2.3<"} {
			if strings.Contains(page, tag) {
				t.Errorf("%q got %q into the page", name, tag)
			}
		}
		if strings.Count(page, "<bdi") != 2 {
			t.Errorf("%q is not shown in its row and its event", name)
		}
	}
}

// noReference is what only looks like an address: comments of a script, and the
// name of the SVG namespace.
var noReference = regexp.MustCompile(`(?m)(^|[ \t])// .*$|xmlns="[^"]*"`)

// The page is whole without the Internet, and asks no other host for anything.
func TestNoOtherHost(t *testing.T) {
	h := &house{machines: []machine.Status{nas()}}
	refs := regexp.MustCompile(`(?:href|src|action)="([^"]*)"|url\(([^)]*)\)|(https?:)?//`)
	for _, path := range []string{"/", "/style.css", "/script.js", "/icon.svg"} {
		w := ask(t, h, "GET", path)
		if w.Code != 200 {
			t.Fatalf("%s: status %d", path, w.Code)
		}
		for _, m := range refs.FindAllStringSubmatch(noReference.ReplaceAllString(w.Body.String(), ""), -1) {
			target := m[1] + m[2]
			if strings.HasPrefix(target, "#") {
				continue // a symbol of the page
			}
			if !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "//") {
				t.Errorf("%s refers to %q", path, m[0])
				continue
			}
			if got := ask(t, h, "GET", target).Code; got != 200 {
				t.Errorf("%s refers to %s: status %d", path, target, got)
			}
		}
	}
}

func TestSecurityHeaders(t *testing.T) {
	for _, path := range []string{"/", "/metrics", "/api/v1/machines", "/-/ready", "/nowhere"} {
		h := ask(t, new(house), "GET", path).Header()
		csp := h.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("%s: policy %q", path, csp)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", path, h)
		}
	}
}

func TestMetricsPage(t *testing.T) {
	reg := prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "knocks_total", Help: "Knocks."},
		func() float64 { return 4 }))
	opts := options(new(house))
	opts.Gatherer, opts.Registerer = reg, reg
	tests := []struct{ accept, content, body string }{
		{"", "text/plain; version=0.0.4", "# TYPE knocks_total counter\nknocks_total 4\n"},
		{"application/openmetrics-text;version=1.0.0", "application/openmetrics-text; version=1.0.0", "# TYPE knocks counter\nknocks_total 4.0\n"},
		{"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", "application/vnd.google.protobuf", "knocks_total"},
	}
	for _, tt := range tests {
		w := askWith(t, opts, "GET", "/metrics", "Accept", tt.accept)
		if got := w.Header().Get("Content-Type"); w.Code != 200 || !strings.HasPrefix(got, tt.content) {
			t.Errorf("accepting %q: status %d, %q; want %q", tt.accept, w.Code, got, tt.content)
		}
		if !strings.Contains(w.Body.String(), tt.body) {
			t.Errorf("accepting %q: %q lacks %q", tt.accept, w.Body, tt.body)
		}
	}
	w := askWith(t, opts, "GET", "/metrics")
	if !strings.Contains(w.Body.String(), `promhttp_metric_handler_requests_total{code="200"} 3`) {
		t.Errorf("%s\nthe scrapes before are not counted", w.Body)
	}
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) != 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}

// One broken series does not hide the others, and is not passed over in silence.
func TestBrokenSeries(t *testing.T) {
	reg := prometheus.NewRegistry()
	desc := prometheus.NewDesc("knocks_total", "Knocks.", nil, nil)
	reg.MustRegister(prometheus.CollectorFunc(func(ch chan<- prometheus.Metric) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, 4)
		ch <- prometheus.NewInvalidMetric(desc, errors.New("lost\ncount"))
	}))
	var l log
	opts := options(new(house))
	opts.Gatherer, opts.Registerer, opts.Log = reg, reg, l.logger()
	w := askWith(t, opts, "GET", "/metrics")
	if w.Code != 200 || !strings.Contains(w.Body.String(), "\nknocks_total 4\n") {
		t.Errorf("status %d, %s", w.Code, w.Body)
	}
	if strings.Count(l.String(), "\n") != 1 || !strings.Contains(l.String(), "lost count") {
		t.Errorf("logged %q, want one line with the reason", &l)
	}
	w = askWith(t, opts, "GET", "/metrics")
	if !strings.Contains(w.Body.String(), `promhttp_metric_handler_errors_total{cause="gathering"} 1`) {
		t.Error("the error is not counted")
	}
}
