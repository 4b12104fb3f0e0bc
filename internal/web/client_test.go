package web_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/journal"
	"nightporter/internal/web"
)

func newAsker(t *testing.T, from string) *web.Client {
	t.Helper()
	c, err := web.NewClient(from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// What the client reads is what happened, field by field.
func TestClientReadsEvents(t *testing.T) {
	h := &fakeBackend{eventLog: eventLog{room: 64}}
	h.happen("nas", "my pc", "nas", "my pc", "my pc")
	r, _ := runBackend(t, h)
	c := newAsker(t, r.urls[0])
	since := uint64(2)
	for _, tt := range []struct {
		name string
		q    web.EventQuery
		want []journal.Event
	}{
		{"the newest", web.EventQuery{Limit: 1}, []journal.Event{event(5, "my pc")}},
		{"of a machine", web.EventQuery{Machine: "my pc", Limit: 2}, []journal.Event{event(4, "my pc"), event(5, "my pc")}},
		{"since", web.EventQuery{Since: &since, Machine: "nas"}, []journal.Event{event(3, "nas")}},
		{"none", web.EventQuery{Machine: "tv"}, []journal.Event{}},
	} {
		got, err := c.Events(t.Context(), tt.q)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.want, got, cmp.Comparer(func(a, b journal.Event) bool { return reflect.DeepEqual(a, b) })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestClientFollows(t *testing.T) {
	h := &fakeBackend{eventLog: eventLog{room: 64}}
	h.happen("nas", "pc", "nas")
	r, _ := runBackend(t, h)
	c := newAsker(t, r.urls[0])
	enough := errors.New("enough")
	for _, tt := range []struct {
		name string
		last func(cancel func()) error // what the last event leads to
		want error
	}{
		{"its own error", func(func()) error { return enough }, enough},
		{"the end of its context", func(cancel func()) error { cancel(); return nil }, context.Canceled},
		{"the end of the stream", func(func()) error { h.end(); return nil }, web.ErrStreamEnded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			last := uint64(len(h.Events(0, "", 1000)))
			want := from(2, last+1)
			since := uint64(1)
			var got []uint64
			err := c.Follow(ctx, web.EventQuery{Since: &since}, func(e journal.Event) error {
				got = append(got, e.Seq)
				switch e.Seq {
				case last:
					h.happen("nas")
				case last + 1:
					return tt.last(cancel)
				}
				return nil
			})
			if !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A porter that is killed ends the stream as one that stops does.
func TestClientFollowsUntilCutOff(t *testing.T) {
	h := &fakeBackend{eventLog: eventLog{room: 64}}
	srv := httptest.NewServer(newServer(t, options(h)).Handler())
	defer srv.Close()
	h.happen("nas")
	err := newAsker(t, srv.URL).Follow(t.Context(), web.EventQuery{Since: new(uint64)}, func(journal.Event) error {
		srv.CloseClientConnections()
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "closed the event stream") && !strings.Contains(err.Error(), "connection to the porter lost") {
		t.Errorf("%v, want that the porter is gone", err)
	}
}

func TestClientErrors(t *testing.T) {
	answer := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			w.Write([]byte(body))
		}
	}
	const js, sse = "application/json", "text/event-stream"
	for _, tt := range []struct {
		name            string
		answer          http.HandlerFunc
		events, follows string // the errors
	}{
		{"no such page", http.NotFound, "no events: 404 Not Found: is it nightporter, and not older than this command?", ""},
		{"no words", answer(502, "text/html", "<h1>"), "no events: 502 Bad Gateway", ""},
		{"a page", answer(200, "text/html", "<h1>"), `is it nightporter?: content type: found "text/html", expected application/json`,
			`is it nightporter?: content type: found "text/html", expected text/event-stream`},
		{"no list", answer(200, js, "{}"), "cannot read the events: json: cannot unmarshal object into Go value of type []journal.Event", "-"},
		{"half a list", answer(200, js, `[{"seq":1},`), "cannot read the events: unexpected EOF", "-"},
		{"no event", answer(200, sse, "data: x\n\n"), "-", "cannot read an event: invalid character 'x' looking for beginning of value"},
		{"a line without end", answer(200, sse, "data: "+strings.Repeat("x", 70000)), "-", "connection to the porter lost: bufio.Scanner: token too long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(tt.answer)
			defer srv.Close()
			host := strings.TrimPrefix(srv.URL, "http://")
			c := newAsker(t, "http://anna:secret@"+host)
			check := func(err error, want string) {
				t.Helper()
				if want = "http://anna:xxxxx@" + host + ": " + want; err == nil || err.Error() != want {
					t.Errorf("error %v\nwant  %s", err, want)
				}
			}
			if tt.events != "-" {
				_, err := c.Events(t.Context(), web.EventQuery{})
				check(err, tt.events)
			}
			if tt.follows == "" {
				tt.follows = tt.events
			}
			if tt.follows != "-" {
				check(c.Follow(t.Context(), web.EventQuery{}, func(journal.Event) error { return nil }), tt.follows)
			}
		})
	}
}

func TestClientAddresses(t *testing.T) {
	var asked string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		asked = user + " " + password + " " + r.URL.String()
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte("[]"))
	}))
	defer srv.Close()
	host := strings.TrimPrefix(srv.URL, "http://")
	for from, want := range map[string]string{
		host:                              "  /api/v1/events",
		"http://" + host:                  "  /api/v1/events",
		"http://" + host + "/":            "  /api/v1/events",
		"http://" + host + "/porter/?x#y": "  /porter/api/v1/events",
		"http://anna:secret@" + host:      "anna secret /api/v1/events",
	} {
		asked = ""
		if _, err := newAsker(t, from).Events(t.Context(), web.EventQuery{}); err != nil || asked != want {
			t.Errorf("%s: asked for %q, %v; want %q", from, asked, err, want)
		}
	}
	// No porter is at these; the error says what was understood.
	for from, want := range map[string]struct {
		host  string
		local bool
	}{
		"127.0.0.1":       {"127.0.0.1:9717", true},
		"::1":             {"[::1]:9717", true},
		"[::1]:1":         {"[::1]:1", true},
		"http://[::1]":    {"[::1]", true},
		"localhost":       {"localhost:9717", true},
		"https://pi.lan/": {"pi.lan", false},
		"fe80::1%nosuch":  {"[fe80::1%nosuch]:9717", false},
		"fd77::2:9717":    {"[fd77::2]:9717", false},
		"fd77::2:1":       {"[fd77::2:1]:9717", false},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := newAsker(t, from).Events(ctx, web.EventQuery{})
		away, ok := errors.AsType[*web.Unreachable](err)
		if !ok || away.Host != want.host || away.Local() != want.local || away.Error() != "no nightporter answers at "+want.host+" (context canceled)" {
			t.Errorf("%s: %v, want %+v", from, err, want)
		}
	}
	for from, host := range map[string]string{"http://fd77::2:9717": "fd77::2", "https://fd77::2/x": "fd77::2"} {
		want := fmt.Sprintf("found %q, expected the IPv6 address in brackets, such as http://[%s]:9717", from, host)
		if _, err := web.NewClient(from); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", from, err, want)
		}
	}
	for _, from := range []string{"", ":9717", "ftp://porter", "http://", "http://:9717", "porter:x", "a b", "http://porter:%"} {
		if _, err := web.NewClient(from); err == nil || !strings.HasPrefix(err.Error(), "found ") {
			t.Errorf("%q: %v, want an error that says what was expected", from, err)
		}
	}
}
