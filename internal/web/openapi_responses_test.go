package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"nightporter/internal/guard"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/web"
)

// question is a request whose answer is held to the description.
type question struct {
	route   string // whose description it is
	path    string // if it is not the route's own
	status  int
	body    string
	headers []string
	change  func(*web.Options, *fakeBackend) // of a porter that knows nas
	before  func(*web.Server)
}

// fullEvent has all that an event can have.
func fullEvent() journal.Event {
	return journal.Event{
		At: midnight, Seq: 1, Kind: journal.Ready, Machine: "nas", MAC: nas().MAC, IP: netip.MustParseAddr("2001:db8::5"),
		Source: netip.MustParseAddrPort("192.0.2.9:40000"), Service: "192.0.2.5:22/tcp", Trigger: "tcp", By: "192.0.2.9:1", Reason: "ready",
		Attempts: 1, Boot: time.Second, Ready: 2 * time.Second, Slept: time.Hour, Until: midnight, NotReady: []string{"192.0.2.5:445/tcp"}, Test: true,
		Version: "1.2.3", Machines: 2,
	}
}

const (
	getOne  = "GET /api/v1/machines/{name}"
	forget  = "DELETE /api/v1/machines/{name}"
	wake    = "POST /api/v1/machines/{name}/wake"
	list    = "GET /api/v1/machines"
	why     = "GET /api/v1/machines/{name}/why"
	history = "GET /api/v1/events"
	pause   = "POST /api/v1/machines/{name}/pause"
	resume  = "DELETE /api/v1/machines/{name}/pause"
	wakeMAC = "POST /api/v1/wake"

	getHistory = "GET /api/v1/machines/{name}/history"
)

func unencodable(_ *web.Options, h *fakeBackend) { h.machines[0].IdleWatts = math.Inf(1) }

func failing(err error) func(*web.Options, *fakeBackend) {
	return func(_ *web.Options, h *fakeBackend) { h.fail = err }
}

func questions() []question {
	all := []question{
		{route: list, status: 200},
		{route: list, status: 200, change: func(_ *web.Options, h *fakeBackend) { h.machines = nil }},
		{route: list, status: 500, change: unencodable},
		{route: list, status: 503, before: (*web.Server).LeaveUnread},
		{route: getOne, status: 200},
		{route: getOne, status: 200, change: func(_ *web.Options, h *fakeBackend) { h.machines = []machine.Status{{Spec: machine.Spec{Name: "nas"}}} }},
		{route: getOne, path: "/api/v1/machines/tv", status: 404},
		{route: getOne, status: 500, change: unencodable},
		{route: getOne, status: 503, before: (*web.Server).LeaveUnread},
		{route: getHistory, status: 200},
		{route: getHistory, status: 200, change: func(_ *web.Options, h *fakeBackend) { h.history = lately() }},
		{route: getHistory, path: "/api/v1/machines/tv/history", status: 404},
		{route: getHistory, status: 503, before: (*web.Server).LeaveUnread},
		{route: why, status: 200, change: func(_ *web.Options, h *fakeBackend) { h.rules.QuietHours = "22:00-06:00" }},
		{route: why, path: "/api/v1/machines/tv/why", status: 404},
		{route: why, status: 503, before: (*web.Server).LeaveUnread},
		{route: history, status: 200, path: "/api/v1/events?since=0&machine=nas&limit=9"},
		{route: history, status: 400, path: "/api/v1/events?limit=1001"},
		{route: history, status: 400, headers: []string{"Accept", "text/event-stream", "Last-Event-ID", "x"}},
		{route: history, status: 403, headers: []string{"Accept", "text/event-stream", "Sec-Fetch-Site", "cross-site"}},
		{route: history, status: 503, before: (*web.Server).LeaveUnread},
		{route: history, status: 500, headers: []string{"Accept", "text/event-stream"}}, // over what cannot be flushed
		{route: history, status: 503, headers: []string{"Accept", "text/event-stream"}, before: (*web.Server).FillStreams},
		{route: "GET /api/v1/status", status: 200},
		{route: "GET /api/v1/status", status: 200, before: func(s *web.Server) {
			s.SetConfig(web.ConfigState{Healthy: true, Loaded: midnight, Restart: []string{"wake.local"}})
		}},
		{route: "GET /api/v1/status", status: 200, change: func(_ *web.Options, h *fakeBackend) {
			h.ready, h.storage, h.guard = errors.New("starting"), journal.Health{Reason: "full"}, guard.Status{Mode: "off", Reason: "off"}
		}},
		{route: "GET /api/v1/openapi.yaml", status: 200},
		{route: "GET /metrics", status: 200},
		{route: "GET /metrics", status: 503, before: (*web.Server).LeaveUnread},
		{route: "GET /metrics", status: 200, headers: []string{"Accept", "application/openmetrics-text;version=1.0.0"}},
		{route: "GET /-/healthy", status: 200},
		{route: "GET /-/ready", status: 200},
		{route: "GET /-/ready", status: 503, change: func(_ *web.Options, h *fakeBackend) { h.ready = errors.New("starting") }},
	}
	for route, done := range map[string]int{forget: 204, wake: 202, pause: 200, resume: 200, wakeMAC: 202} {
		body := map[string]string{pause: `{"for": "2h"}`, wakeMAC: `{"mac": "02:00:00:00:00:01"}`}[route]
		all = append(all,
			question{route: route, body: body, status: done},
			question{route: route, body: body, status: done, headers: []string{"Authorization", "Bearer open sesame"}, change: locked},
			question{route: route, body: body, status: 401, change: locked},
			question{route: route, body: body, status: 403, headers: []string{"Origin", "http://evil.example"}},
			question{route: route, body: body, status: 429, change: func(o *web.Options, _ *fakeBackend) { o.Rate = 2 }, before: func(s *web.Server) {
				method, path, _ := strings.Cut(route, " ")
				callFrom(s, "192.0.2.1:1", method, strings.Replace(path, "{name}", "nas", 1)) // there is one a moment
			}},
			question{route: route, body: body, status: 500, change: failing(errors.New("broken"))},
			question{route: route, body: body, status: 503, change: failing(context.DeadlineExceeded)},
		)
		if route != wakeMAC {
			all = append(all,
				question{route: route, body: body, status: 404, path: strings.NewReplacer("{name}", "tv").Replace(strings.Fields(route)[1])},
				question{route: route, body: body, status: 409, change: failing(machine.ErrConflict)},
			)
		}
	}
	return append(all,
		question{route: wake, body: `{"test": true}`, status: 202},
		question{route: wake, body: `{"test": 1}`, status: 400},
		question{route: pause, status: 400},
		question{route: wakeMAC, body: `{"mac": "x"}`, status: 400},
	)
}

// locked has the porter ask for a token.
func locked(o *web.Options, _ *fakeBackend) { o.Access.Token = "open sesame" }

// What the server answers is what the description says, each status and each
// field of it.
func TestAnswersAreAsDescribed(t *testing.T) {
	d := describedBy(t)
	compiler := d.schemas()
	operations := d.operations()
	answered := make(map[string]bool)
	declared, seen := make(map[string]bool), make(map[string]bool)
	for _, q := range questions() {
		t.Run(fmt.Sprintf("%s %d", q.route, q.status), func(t *testing.T) {
			d.t = t
			contentType, body := q.ask(t)
			answered[fmt.Sprintf("%s %d", q.route, q.status)] = true
			schema := d.bodyOf(operations[q.route], strconv.Itoa(q.status), contentType)
			if schema == nil {
				return
			}
			value, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
			if err != nil {
				t.Fatalf("%v in %s", err, body)
			}
			if err := validate(compiler, schema, value); err != nil {
				t.Errorf("%s: %v", body, err)
			}
			d.fields(declared, schema, "", nil, true)
			d.fields(seen, schema, "", value, false)
		})
	}
	d.t = t
	for route, op := range operations {
		for status := range op["responses"].(object) {
			if !answered[route+" "+status] {
				t.Errorf("%s: status %s is described, and never answered", route, status)
			}
		}
	}
	for field := range declared {
		if !seen[field] {
			t.Errorf("%s is described, and never there", field)
		}
	}
	if len(seen) < 40 {
		t.Errorf("only %d fields were looked at", len(seen))
	}
}

// ask returns the answer to a question, which has to have its status.
func (q question) ask(t *testing.T) (contentType, body string) {
	t.Helper()
	h := &fakeBackend{
		machines: []machine.Status{nas()},
		guard:    guard.Status{Mode: "auto", Active: true}, storage: journal.Health{Healthy: true},
	}
	h.all = []journal.Event{fullEvent()}
	opts := options(h)
	if q.change != nil {
		q.change(&opts, h)
	}
	method, path, _ := strings.Cut(q.route, " ")
	if q.path != "" {
		path = q.path
	}
	path = strings.Replace(path, "{name}", "nas", 1)
	synctest.Test(t, func(t *testing.T) { // so that no ration grows meanwhile
		s := newServer(t, opts)
		if q.before != nil {
			q.before(s)
		}
		w := post(s, method, "http://porter.local"+path, q.body, q.headers...)
		if w.Code != q.status {
			t.Errorf("status %d, %s; want %d", w.Code, w.Body, q.status)
		}
		contentType, body = w.Header().Get("Content-Type"), w.Body.String()
	})
	return contentType, body
}

// validate holds a value to a schema, which is a reference or a list of such.
func validate(c *jsonschema.Compiler, schema object, value any) error {
	ref, ok := schema["$ref"].(string)
	if !ok {
		list, isList := value.([]any)
		if !isList || schema["type"] != "array" {
			return errors.New("no list")
		}
		for _, v := range list {
			if err := validate(c, schema["items"].(object), v); err != nil {
				return err
			}
		}
		return nil
	}
	compiled, err := c.Compile("openapi.json" + ref)
	if err != nil {
		return err
	}
	return compiled.Validate(value)
}

// The words that the description lists are all that there are.
func TestDescriptionHasEveryWord(t *testing.T) {
	d := describedBy(t)
	words := func(kind, field, key string) []string {
		var all []string
		for _, v := range d.root["components"].(object)["schemas"].(object)[kind].(object)["properties"].(object)[field].(object)[key].([]any) {
			all = append(all, v.(string))
		}
		return all
	}
	named := func(s fmt.Stringer) string { return s.String() }
	var states, triggers, standings []string
	for _, s := range machine.Standings {
		standings = append(standings, named(s))
	}
	addresses := d.root["components"].(object)["schemas"].(object)["Machine"].(object)["properties"].(object)["addresses"].(object)["items"].(object)
	if got := fmt.Sprint(addresses["properties"].(object)["standing"].(object)["enum"]); got != fmt.Sprint(standings) {
		t.Errorf("standings %s, want %q", got, standings)
	}
	for _, s := range machine.States {
		states = append(states, named(s))
	}
	for _, s := range machine.Triggers {
		triggers = append(triggers, named(s))
	}
	if got := words("Machine", "state", "enum"); !slices.Equal(got, states) {
		t.Errorf("states %q, want %q", got, states)
	}
	if got := words("Event", "trigger", "enum"); !slices.Equal(got, triggers) {
		t.Errorf("triggers %q, want %q", got, triggers)
	}
	var sample map[string]any
	b, err := json.Marshal(fullEvent())
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &sample); err != nil || len(sample) != 20 {
		t.Errorf("%d fields, want all 20 of an event: %v", len(sample), err)
	}
	if diff := cmp.Diff(kinds(t), words("Event", "kind", "examples"), cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("kinds (-journal +described):\n%s", diff)
	}
}

// kinds returns the kinds of events that the journal declares.
func kinds(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../journal/event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Kind" {
			word, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, word)
		}
		return true
	})
	if !slices.Contains(all, string(journal.ExternalStart)) {
		t.Errorf("found the kinds %q", all)
	}
	return all
}
