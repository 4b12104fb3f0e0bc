package web_test

import (
	"encoding/json"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/web"
)

// lately is what a machine did until a moment after midnight.
func lately() journal.MachineHistory {
	now := midnight.Add(10 * time.Second)
	return journal.MachineHistory{
		Spans: []journal.Span{
			{From: midnight.Add(-3 * time.Hour), To: midnight.Add(-time.Hour), Phase: journal.PhaseAsleep},
			{From: midnight.Add(-time.Hour), To: now, Phase: journal.PhaseAwake},
		},
		Wakes: []journal.Wake{
			{At: midnight.Add(-2 * time.Hour), Trigger: machine.ByTCP, Outcome: machine.GivenUp, Client: "192.0.2.9", Service: "192.0.2.5:22/tcp"},
			{At: midnight.Add(-time.Hour), Trigger: machine.ByAPI, Outcome: machine.Served, Client: "192.0.2.8"},
			{At: midnight.Add(-time.Minute), Trigger: machine.ByTCP, Outcome: machine.Served, Client: "192.0.2.9", Service: "192.0.2.5:445/tcp"},
		},
		More: 7,
	}
}

// TestMachineHistory is what the API says of it, to the client as well.
func TestMachineHistory(t *testing.T) {
	h := &fakeBackend{machines: []machine.Status{nas()}, history: lately()}
	const want = `{"days":[
		{"date":"2025-12-27","spans":[],"wakes":[]},{"date":"2025-12-28","spans":[],"wakes":[]},{"date":"2025-12-29","spans":[],"wakes":[]},
		{"date":"2025-12-30","spans":[],"wakes":[]},{"date":"2025-12-31","spans":[],"wakes":[]},
		{"date":"2026-01-01","spans":[
			{"from":"2026-01-01T21:00:00Z","to":"2026-01-01T23:00:00Z","state":"asleep"},
			{"from":"2026-01-01T23:00:00Z","to":"2026-01-02T00:00:00Z","state":"awake"}
		],"wakes":[
			{"at":"2026-01-01T22:00:00Z","outcome":"failed","trigger":"tcp","client":"192.0.2.9","service":"192.0.2.5:22/tcp"},
			{"at":"2026-01-01T23:00:00Z","outcome":"ready","trigger":"api","client":"192.0.2.8"},
			{"at":"2026-01-01T23:59:00Z","outcome":"ready","trigger":"tcp","client":"192.0.2.9","service":"192.0.2.5:445/tcp"}
		]},
		{"date":"2026-01-02","spans":[{"from":"2026-01-02T00:00:00Z","to":"2026-01-02T00:00:10Z","state":"awake"}],"wakes":[]}
	],"clients":[
		{"client":"192.0.2.9","wakes":2,"last":"2026-01-01T23:59:00Z","service":"192.0.2.5:445/tcp"},
		{"client":"192.0.2.8","wakes":1,"last":"2026-01-01T23:00:00Z"}
	],"more_wakes":7}`
	var expected web.History
	if err := json.Unmarshal([]byte(want), &expected); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(newServer(t, options(h)).Handler())
	defer srv.Close()
	c := newAsker(t, srv.URL)
	got, err := c.History(t.Context(), "nas")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(expected, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := c.History(t.Context(), "tv"); !errors.Is(err, machine.ErrUnknown) {
		t.Errorf("of a machine that is not known: %v", err)
	}
}
