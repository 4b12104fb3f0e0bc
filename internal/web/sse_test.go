package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"nightporter/internal/ether"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/journal"
)

// listener is a client that follows the events.
type listener struct {
	resp  *http.Response
	lines *bufio.Scanner
	hangs context.CancelFunc // hangs up
}

// listen follows the events at url, and returns once it does. Headers are name
// and value in turn.
func listen(t *testing.T, c *http.Client, url string, headers ...string) *listener {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		resp.Body.Close()
	})
	return &listener{resp: resp, lines: bufio.NewScanner(resp.Body), hangs: cancel}
}

// next returns the Seq of the next event. At the end it returns io.EOF if that
// was in order.
func (l *listener) next() (uint64, error) {
	var id string
	for n := 0; l.lines.Scan(); n++ {
		if n > 100 {
			return 0, errors.New("nothing but comments")
		}
		name, value, _ := strings.Cut(l.lines.Text(), ": ")
		switch name {
		case "id":
			id = value
		case "data":
			var e journal.Event
			if err := json.Unmarshal([]byte(value), &e); err != nil {
				return 0, err
			}
			if got := strconv.FormatUint(e.Seq, 10); got != id {
				return 0, errors.New("event " + got + " has the id " + id)
			}
			return e.Seq, nil
		}
	}
	if err := l.lines.Err(); err != nil {
		return 0, err
	}
	return 0, io.EOF
}

// until returns the events up to the one with that Seq.
func (l *listener) until(t *testing.T, last uint64) []uint64 {
	t.Helper()
	var got []uint64
	for len(got) == 0 || got[len(got)-1] < last {
		seq, err := l.next()
		if err != nil {
			t.Fatalf("after %v: %v", got, err)
		}
		got = append(got, seq)
	}
	return got
}

func from(first, last uint64) []uint64 {
	var all []uint64
	for seq := first; seq <= last; seq++ {
		all = append(all, seq)
	}
	return all
}

// runBackend serves h on loopback.
func runBackend(t *testing.T, h *fakeBackend) (*running, string) {
	t.Helper()
	opts := options(h)
	opts.Listen = []string{"127.0.0.1:0"}
	r := run(t, opts)
	return r, r.urls[0] + "/api/v1/events"
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}

func TestStreamFormat(t *testing.T) {
	h := &fakeBackend{eventLog: eventLog{room: 64}}
	_, url := runBackend(t, h)
	l := listen(t, newClient(t), url)
	if got := l.resp.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("content %q", got)
	}
	h.happen("nas")
	h.end()
	got, err := io.ReadAll(l.resp.Body)
	if want := "id: 1\ndata: " + knockJSON + "\n\n"; string(got) != want || err != nil {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestStreamBegins(t *testing.T) {
	for _, tt := range []struct {
		query, lastID string
		want          []uint64
	}{
		{"", "", []uint64{6, 7}},
		{"?since=0", "", from(1, 7)},
		{"?since=3", "", from(4, 7)},
		{"?since=5", "", []uint64{6, 7}},
		{"?since=0&limit=2", "", []uint64{4, 5, 6, 7}},
		{"?limit=2", "", []uint64{6, 7}},
		{"?machine=nas", "", []uint64{7}},
		{"?machine=nas&since=0", "", []uint64{1, 3, 7}},
		{"", "2", from(3, 7)},
		{"?since=0", "4", []uint64{5, 6, 7}},
		{"?since=6", "", []uint64{6, 7}},  // of a journal that is no more
		{"?since=99", "", []uint64{6, 7}}, // likewise
	} {
		t.Run(tt.query+" "+tt.lastID, func(t *testing.T) {
			h := &fakeBackend{eventLog: eventLog{room: 64}}
			h.happen("nas", "pc", "nas", "", "pc")
			_, url := runBackend(t, h)
			l := listen(t, newClient(t), url+tt.query, "Last-Event-ID", tt.lastID)
			h.happen("pc", "nas")
			if diff := cmp.Diff(tt.want, l.until(t, 7)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// journalBackend has the events of a journal.
type journalBackend struct {
	*fakeBackend
	*journal.Journal
}

func (h journalBackend) Events(since uint64, name string, limit int) []journal.Event {
	return h.Journal.Events(since, name, limit)
}

func (h journalBackend) Follow(ctx context.Context) <-chan journal.Event {
	return h.Journal.Follow(ctx)
}

func (h journalBackend) History(mac ether.MAC) journal.MachineHistory {
	return h.Journal.History(mac)
}

// movingBackend has something happen just before and just after a client follows.
type movingBackend struct{ *fakeBackend }

func (h movingBackend) Follow(ctx context.Context) <-chan journal.Event {
	h.happen("before")
	defer h.happen("after")
	return h.fakeBackend.Follow(ctx)
}

// What happens while the stream begins is in it, and once: it is heard of and
// found in the history.
func TestStreamMeetsItsHistory(t *testing.T) {
	h := &fakeBackend{eventLog: eventLog{room: 64}}
	h.happen("nas")
	opts := options(h)
	opts.Backend, opts.Listen = movingBackend{h}, []string{"127.0.0.1:0"}
	l := listen(t, newClient(t), run(t, opts).urls[0]+"/api/v1/events?since=0")
	h.happen("pc")
	if diff := cmp.Diff(from(1, 4), l.until(t, 4)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Whenever a client comes, it gets each event once and in order.
func TestStreamMissesNothing(t *testing.T) {
	j, _, err := journal.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	opts := options(new(fakeBackend))
	opts.Backend, opts.Listen = journalBackend{new(fakeBackend), j}, []string{"127.0.0.1:0"}
	url := run(t, opts).urls[0] + "/api/v1/events"
	const readers, each = 18, 50
	const last = readers*each + 1 // fewer than the journal keeps
	c := newClient(t)
	var all sync.WaitGroup
	for i := range readers {
		all.Go(func() { // while this reader comes
			for range each {
				j.Append(journal.Record{Event: journal.Event{Kind: journal.Knock, At: midnight}})
			}
		})
		query := "?since=0"
		if i%3 == 2 {
			query = ""
		}
		l := listen(t, c, url+query)
		if i == readers-1 { // each hears at least this one
			j.Append(journal.Record{Event: journal.Event{Kind: journal.Magic, At: midnight}})
		}
		all.Go(func() {
			var got []uint64
			for len(got) == 0 || got[len(got)-1] < last {
				seq, err := l.next()
				if err != nil {
					t.Errorf("%s: after %d events: %v", query, len(got), err)
					return
				}
				got = append(got, seq)
			}
			first := uint64(1)
			if query == "" {
				first = got[0]
			}
			if diff := cmp.Diff(from(first, last), got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", query, diff)
			}
		})
	}
	all.Wait()
}

func TestStreamsAreLimited(t *testing.T) {
	const limit = 32
	h := &fakeBackend{eventLog: eventLog{room: 64}}
	_, url := runBackend(t, h)
	c := newClient(t)
	var first *listener
	for range limit {
		l := listen(t, c, url)
		if first == nil {
			first = l
		}
		if l.resp.StatusCode != 200 {
			t.Fatalf("a client within the limit: status %d, want 200", l.resp.StatusCode)
		}
	}
	over := listen(t, c, url)
	if over.resp.StatusCode != 503 || over.resp.Header.Get("Retry-After") == "" {
		t.Errorf("a client too many: status %d, want 503 and when to try again", over.resp.StatusCode)
	}
	if got := status(t, c, "GET", url, "", ""); got != 200 {
		t.Errorf("the list: status %d, want 200 all the same", got)
	}
	first.hangs()
	eventually(t, "a place is free", func() bool { return listen(t, c, url).resp.StatusCode == 200 })
}

func TestClientThatGoesIsForgotten(t *testing.T) {
	h := &fakeBackend{eventLog: eventLog{room: 64}}
	_, url := runBackend(t, h)
	l := listen(t, newClient(t), url)
	if n := h.following(); n != 1 {
		t.Fatalf("%d follow, want 1", n)
	}
	l.hangs()
	eventually(t, "no client follows", func() bool { return h.following() == 0 })
}

func TestHeadDoesNotFollow(t *testing.T) {
	h := new(fakeBackend)
	_, url := runBackend(t, h)
	r, err := http.NewRequestWithContext(t.Context(), "HEAD", url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	resp, err := newClient(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" || h.following() != 0 {
		t.Errorf("status %d, %q, %d follow", resp.StatusCode, resp.Header.Get("Content-Type"), h.following())
	}
}

// A stop does not wait for those who follow: they end in order, and at once.
func TestStopEndsStreams(t *testing.T) {
	h := &fakeBackend{eventLog: eventLog{room: 64}}
	r, url := runBackend(t, h)
	c := newClient(t)
	var all []*listener
	for range 5 {
		all = append(all, listen(t, c, url))
	}
	r.stop()
	took, err := r.wait(t)
	if err != nil {
		t.Error(err)
	}
	if took > 900*time.Millisecond {
		t.Errorf("stopped after %v, want at once", took)
	}
	for _, l := range all {
		if _, err := l.next(); !errors.Is(err, io.EOF) {
			t.Errorf("a stream ended with %v, want io.EOF", err)
		}
	}
}
