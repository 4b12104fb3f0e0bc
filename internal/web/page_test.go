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
			w := ask(t, &fakeBackend{ready: tt.ready}, tt.method, tt.path)
			if w.Code != tt.status || w.Body.String() != tt.body {
				t.Errorf("status %d, %q; want %d, %q", w.Code, w.Body, tt.status, tt.body)
			}
		})
	}
}

func TestPage(t *testing.T) {
	w := ask(t, &fakeBackend{machines: []machine.Status{named("pc"), nas()}}, "GET", "/")
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("status %d, content %q", w.Code, w.Header().Get("Content-Type"))
	}
	page := w.Body.String()
	for _, want := range []string{
		`<html lang="en" data-version="1.2.3">`, `<title>nightporter</title>`, `<main data-last="0">`, "nightporter 1.2.3",
		`href="metrics"`, `href="api/v1/machines"`, `href="-/healthy"`, `href="-/ready"`,
		`<bdi title="nas">nas</bdi><small class="stuck" title="2001:db8::5 waits: the network is out">2001:db8::5 waits</small>`,
		`since <time datetime="2026-01-02T00:00:00Z"`, `>ready in 15.0 s<`, `192.0.2.9 for ssh 22`,
		`<span class="service">ssh 22</span> <span class="service">wireguard 51820/udp</span> <span class="service">ping</span>`,
		`guest 52:54:00:00:00:05</small></span> <small>no port wakes it</small>`,
		`50 W awake, 2 W asleep`, `missing answers (agentless)`, `magic packets for d8:cb:8a:39:be:a2`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Index(page, `data-key="nas"`) > strings.Index(page, `data-key="pc"`) {
		t.Error("the machines are not in order")
	}
	for _, secret := range []string{"hunter", "No machine yet", `id="search"`, "<h2>", `id="events"`} {
		if strings.Contains(page, secret) {
			t.Errorf("the page of two machines has %q", secret)
		}
	}
}

// A row is quiet about addresses while all is well, and says of one that cannot be
// claimed why. Its details say it of each.
func TestPageTellsOfAddresses(t *testing.T) {
	at := func(n byte, s machine.Standing, reason string) machine.AddressStatus {
		return machine.AddressStatus{IP: netip.AddrFrom4([4]byte{192, 0, 2, n}), Standing: s, Reason: reason}
	}
	for _, tt := range []struct {
		name string
		all  []machine.AddressStatus
		want string
	}{
		{"none", nil, `nas</bdi><small></small></span>`},
		{"one", []machine.AddressStatus{at(1, machine.Own, "")}, `<small>192.0.2.1</small></span>`},
		{"well", []machine.AddressStatus{at(1, machine.Own, ""), at(2, machine.Returned, "")}, `<small>192.0.2.1 <i>+1</i></small></span>`},
		{"claimed while the network is out", []machine.AddressStatus{at(1, machine.Claimed, "the interface is unavailable")}, `<small>192.0.2.1</small></span>`},
		{"conceded", []machine.AddressStatus{at(1, machine.Claimed, ""), at(2, machine.Conceded, "another host uses it")},
			`<small class="stuck" title="192.0.2.2 is conceded: another host uses it">192.0.2.2 is conceded</small></span>`},
		{"all wait", []machine.AddressStatus{at(1, machine.Waiting, "a"), at(2, machine.Waiting, "b")}, ` title="192.0.2.1 waits: a">192.0.2.1 waits</small></span>`},
		{"in its details", []machine.AddressStatus{at(1, machine.Waiting, "a"), at(2, machine.Waiting, "b")}, `<small class="stuck">waits: b</small></p>`},
		{"hostile", []machine.AddressStatus{at(1, machine.Waiting, "<b>")}, ` title="192.0.2.1 waits: &lt;b&gt;">192.0.2.1 waits</small></span>`},
	} {
		s := nas()
		s.Addresses = tt.all
		if page := ask(t, &fakeBackend{machines: []machine.Status{s}}, "GET", "/").Body.String(); !strings.Contains(page, tt.want) {
			t.Errorf("%s: the page lacks %s", tt.name, tt.want)
		}
	}
}

// A person who guessed an address is led to the page, from wherever a proxy has it.
func TestNotFoundForPeople(t *testing.T) {
	for path, home := range map[string]string{"/status": "./", "/a/b/": "./../../"} {
		w := ask(t, new(fakeBackend), "GET", path, "Accept", "text/html,*/*;q=0.8")
		if w.Code != 404 || !contains(w.Body.String(), `<a href="`+home+`">`, `href="`+home+`style.css"`) {
			t.Errorf("%s: status %d, %s", path, w.Code, w.Body)
		}
	}
	if w := ask(t, new(fakeBackend), "POST", "/-/ready", "Accept", "text/html"); w.Code != 405 {
		t.Errorf("a wrong method: status %d", w.Code)
	}
}

func contains(s string, words ...string) bool {
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(s, w) })
}

func TestHostileName(t *testing.T) {
	for _, name := range []string{"<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "{{.Version}}"} {
		h := &fakeBackend{machines: []machine.Status{named(name)}}
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

// noReference is what only looks like an address that is loaded: comments of a script, the
// name of the SVG namespace, links that a person may follow, and text.
var noReference = regexp.MustCompile(`(?m)(^|[ \t])// .*$|xmlns="[^"]*"|<a [^>]*href="https?://[^"]*"|<code>[^<]*`)

// The page is whole without the Internet, and asks no other host for anything. Its
// addresses are relative, so that a proxy can have it under a path.
func TestNoOtherHost(t *testing.T) {
	s := nas()
	s.Monitor[0].Ports = append(s.Monitor[0].Ports, machine.Port{Protocol: machine.TCP, Number: 80})
	refs := regexp.MustCompile(`(?:href|src|action)="([^"]*)"|"src": "([^"]*)"|(?:from|import) "\./([^"]*)"|url\(([^)]*)\)|(https?:)?//`)
	left, seen := []string{"/"}, map[string]bool{}
	for _, h := range []*fakeBackend{{machines: []machine.Status{s}}, {}} {
		for len(left) > 0 {
			path := left[0]
			left, seen[path] = left[1:], true
			w := ask(t, h, "GET", path)
			if w.Code != 200 {
				t.Fatalf("%s: status %d", path, w.Code)
			}
			if kind := w.Header().Get("Content-Type"); !strings.HasPrefix(kind, "text/html") && !strings.Contains(kind, "css") && !strings.Contains(kind, "script") && !strings.Contains(kind, "manifest") {
				continue // a picture, or for programs
			}
			for _, m := range refs.FindAllStringSubmatch(noReference.ReplaceAllString(w.Body.String(), ""), -1) {
				target := m[1] + m[2] + m[3] + m[4]
				if strings.HasPrefix(target, "#") {
					continue // a symbol of the page
				}
				if target == "" || strings.HasPrefix(target, "/") || strings.Contains(target, ":") {
					t.Errorf("%s refers to %q", path, m[0])
				} else if next := "/" + target; !seen[next] {
					left, seen[next] = append(left, next), true
				}
			}
		}
		left = []string{"/"}
	}
	for _, part := range []string{"/parts.css", "/ask.js", "/icon-512.png", "/icon-180.png"} {
		if !seen[part] {
			t.Errorf("%s is not referred to", part)
		}
	}
}

func TestSecurityHeaders(t *testing.T) {
	for _, path := range []string{"/", "/metrics", "/api/v1/machines", "/-/ready", "/nowhere"} {
		h := ask(t, new(fakeBackend), "GET", path).Header()
		csp := h.Get("Content-Security-Policy")
		frames := "frame-ancestors 'none'"
		if path == "/" {
			frames = "frame-ancestors 'self'"
		}
		if !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "unsafe") || !strings.HasSuffix(csp, frames) {
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
	opts := options(new(fakeBackend))
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
	opts := options(new(fakeBackend))
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
