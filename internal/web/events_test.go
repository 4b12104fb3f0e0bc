package web_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/journal"
)

func TestEvents(t *testing.T) {
	h := new(fakeBackend)
	if w := ask(t, h, "GET", "/api/v1/events"); w.Code != 200 || w.Body.String() != "[]\n" {
		t.Errorf("without events: %d %s, want an empty list", w.Code, w.Body)
	}
	h.happen("nas", "pc", "nas", "", "my pc")
	for _, tt := range []struct {
		query string
		want  []uint64
	}{
		{"", []uint64{1, 2, 3, 4, 5}},
		{"?since=0", []uint64{1, 2, 3, 4, 5}},
		{"?since=3", []uint64{4, 5}},
		{"?since=5", []uint64{}},
		{"?since=18446744073709551615", []uint64{}},
		{"?limit=2", []uint64{4, 5}},
		{"?limit=1000", []uint64{1, 2, 3, 4, 5}},
		{"?machine=nas", []uint64{1, 3}},
		{"?machine=my+pc", []uint64{5}},
		{"?machine=tv", []uint64{}},
		{"?machine=", []uint64{1, 2, 3, 4, 5}},
		{"?since=1&machine=nas&limit=1", []uint64{3}},
	} {
		w := ask(t, h, "GET", "/api/v1/events"+tt.query, "Accept", "application/json, */*")
		var all []journal.Event
		if err := json.Unmarshal(w.Body.Bytes(), &all); err != nil || w.Code != 200 {
			t.Errorf("%s: status %d, %v in %s", tt.query, w.Code, err, w.Body)
		}
		if diff := cmp.Diff(tt.want, seqs(all)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.query, diff)
		}
	}
}

func seqs(all []journal.Event) []uint64 {
	found := make([]uint64, len(all))
	for i, e := range all {
		found[i] = e.Seq
	}
	return found
}

func TestEventsAreBounded(t *testing.T) {
	h := new(fakeBackend)
	h.happen(make([]string, 150)...)
	var all []journal.Event
	if err := json.Unmarshal(ask(t, h, "GET", "/api/v1/events").Body.Bytes(), &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 100 || all[0].Seq != 51 || all[99].Seq != 150 {
		t.Errorf("%d events, from %d to %d; want the newest 100", len(all), all[0].Seq, all[len(all)-1].Seq)
	}
}

const knockJSON = `{"seq":1,"at":"2026-01-02T00:00:00Z","kind":"knock","machine":"nas",` +
	`"source":"192.0.2.9:40000","service":"192.0.2.5:22/tcp","boot_seconds":12.3}`

func TestEventAsJSON(t *testing.T) {
	h := new(fakeBackend)
	h.happen("nas")
	w := ask(t, h, "GET", "/api/v1/events")
	if got := w.Body.String(); got != "["+knockJSON+"]\n" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%s as %q, want [%s]", got, w.Header().Get("Content-Type"), knockJSON)
	}
}

func TestBadEventQueries(t *testing.T) {
	for _, tt := range []struct{ query, want string }{
		{"since=", `since: found "", expected the seq of an event, or 0`},
		{"since=-1", `since: found "-1", expected the seq of an event, or 0`},
		{"since=x", `since: found "x", expected the seq of an event, or 0`},
		{"since=18446744073709551616", `since: found "18446744073709551616", expected the seq of an event, or 0`},
		{"limit=", `limit: found "", expected 1 to 1000`},
		{"limit=0", `limit: found "0", expected 1 to 1000`},
		{"limit=1001", `limit: found "1001", expected 1 to 1000`},
		{"limit=ten", `limit: found "ten", expected 1 to 1000`},
		{"machine=50%", `query: found "machine=50%", expected name=value, joined by &`},
	} {
		for _, accept := range []string{"application/json", "text/event-stream"} {
			w := ask(t, new(fakeBackend), "GET", "/api/v1/events?"+tt.query, "Accept", accept)
			var answer struct{ Error string }
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 400 || answer.Error != tt.want {
				t.Errorf("%s: status %d, %s; want 400, %s", tt.query, w.Code, w.Body, tt.want)
			}
		}
	}
	if w := ask(t, new(fakeBackend), "DELETE", "/api/v1/events"); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("DELETE: status %d, allowed %q", w.Code, w.Header().Get("Allow"))
	}
}

// A writer that cannot be given a deadline cannot be rid of a slow client.
func TestNoStreamWithoutDeadlines(t *testing.T) {
	w := ask(t, new(fakeBackend), "GET", "/api/v1/events", "Accept", "text/event-stream")
	if w.Code != 500 || !strings.Contains(w.Body.String(), "cannot carry an event stream") {
		t.Errorf("status %d, %s; want 500", w.Code, w.Body)
	}
}

func TestWhoFollows(t *testing.T) {
	for accept, stream := range map[string]bool{
		"text/event-stream":                         true,
		"Text/Event-Stream; charset=utf-8":          true,
		"application/json, text/event-stream;q=0.5": true,
		"*/*":                            false,
		"text/*":                         false,
		"application/json":               false,
		"text/event-streams, ;;, text/x": false,
	} {
		// A stream is recognised by its refusal here: see above.
		w := ask(t, new(fakeBackend), "GET", "/api/v1/events", "Accept", accept)
		if got := w.Code == 500; got != stream {
			t.Errorf("%s: stream %t, want %t", accept, got, stream)
		}
	}
}

func TestBadLastEventID(t *testing.T) {
	w := ask(t, new(fakeBackend), "GET", "/api/v1/events", "Accept", "text/event-stream", "Last-Event-ID", "abc")
	want := `{"error":"Last-Event-ID: found \"abc\", expected the seq of an event, or 0"}` + "\n"
	if w.Code != 400 || w.Body.String() != want {
		t.Errorf("status %d, %s; want 400, %s", w.Code, w.Body, want)
	}
}
