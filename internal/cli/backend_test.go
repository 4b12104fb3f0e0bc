package cli

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nightporter/internal/ether"
	"nightporter/internal/guard"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/web"
)

// eventsBackend is a web.Backend with events and without machines.
type eventsBackend struct {
	web.Backend
	journal *journal.Journal
}

func (s eventsBackend) Events(since uint64, name string, limit int) []journal.Event {
	return s.journal.Events(since, name, limit)
}

func (s eventsBackend) Machines() []machine.Status { return nil }

func (s eventsBackend) Follow(ctx context.Context) <-chan journal.Event { return s.journal.Follow(ctx) }

// serveEvents serves events, and returns the URL and the journal with the events.
func serveEvents(t *testing.T, events ...journal.Event) (string, *journal.Journal) {
	t.Helper()
	j, _, err := journal.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		j.Append(journal.Record{Event: e})
	}
	s, err := web.New(web.Options{Backend: eventsBackend{journal: j}, Gatherer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		_ = j.Close() // ends the streams; a test may have closed it
		srv.Close()
	})
	return srv.URL, j
}

// fakeBackend is a web.Backend with machines. The test decides what follows a wake.
type fakeBackend struct {
	eventsBackend
	machines    []machine.Status
	ready       error
	guard       guard.Status
	storage     journal.Health
	history     journal.MachineHistory // of each machine
	onWake      func(*journal.Journal) // after a wake is requested; may be nil
	onThirdRead func()                 // may be nil
	reads       int
}

func (s *fakeBackend) Machines() []machine.Status {
	if s.reads++; s.reads == 3 && s.onThirdRead != nil {
		s.onThirdRead()
	}
	return s.machines
}

func (s *fakeBackend) Ready() error { return s.ready }

func (s *fakeBackend) Guard() guard.Status { return s.guard }

func (s *fakeBackend) Storage() journal.Health { return s.storage }

func (s *fakeBackend) History(ether.MAC) journal.MachineHistory { return s.history }

func (s *fakeBackend) WakeRules() machine.WakeRules { return machine.WakeRules{} }

func (s *fakeBackend) Wake(_ context.Context, name, _ string) error {
	for i := range s.machines {
		if s.machines[i].Name != name {
			continue
		}
		if s.machines[i].State != machine.Awake {
			s.machines[i].State = machine.Waking
		}
		if s.onWake != nil {
			s.onWake(s.journal)
		}
		return nil
	}
	return machine.ErrUnknown
}

func (s *fakeBackend) Forget(_ context.Context, name, _ string) error {
	was := len(s.machines)
	s.machines = slices.DeleteFunc(s.machines, func(m machine.Status) bool { return m.Name == name })
	if len(s.machines) == was {
		return machine.ErrUnknown
	}
	return nil
}

// servePorter serves a backend, and returns its URL.
func servePorter(t *testing.T, s *fakeBackend, access web.Access) string {
	t.Helper()
	j, _, err := journal.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.journal = j
	j.Append(journal.Record{Event: journal.Event{At: testTime, Kind: journal.Failed, Machine: "nas"}}) // an event before the command
	server, err := web.New(web.Options{
		Backend: s, Gatherer: prometheus.NewRegistry(), Version: "1.2.3", Access: access,
		Now: func() time.Time { return testTime.Add(time.Hour) },
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(server.Handler())
	t.Cleanup(func() {
		_ = j.Close() // ends the streams
		srv.Close()
	})
	return srv.URL
}

// newTwoMachines returns a backend without failures: nas sleeps and pc is awake.
func newTwoMachines() *fakeBackend {
	nas := machine.Status{
		Spec: machine.Spec{
			Name: "nas", MAC: nasMAC, IdleWatts: 50, SleepWatts: 2,
			Monitor: []machine.Address{
				{IP: netip.MustParseAddr("10.77.0.20"), Ports: []machine.Port{{Protocol: machine.TCP, Number: 22}, {Protocol: machine.ICMP}}},
				{IP: netip.MustParseAddr("fd77::20")},
			},
		},
		Addresses: []machine.AddressStatus{
			{IP: netip.MustParseAddr("10.77.0.20"), Standing: machine.Claimed},
			{IP: netip.MustParseAddr("fd77::20"), Standing: machine.Waiting, Reason: "it is out\x1b"},
		},
		State: machine.Asleep, Since: testTime, SleepLog: machine.SleepLog{{Date: testTime.Local().AddDate(0, 0, -2).Format(time.DateOnly), Slept: 7 * time.Hour}}, LastWake: machine.LastWake{
			At: testTime.Add(-24 * time.Hour), Trigger: machine.ByTCP, Source: netip.MustParseAddrPort("10.77.0.10:40000"), Outcome: machine.Served,
			Service:  machine.Service{Addr: netip.MustParseAddr("10.77.0.20"), Port: machine.Port{Protocol: machine.TCP, Number: 22}},
			Attempts: 2, Boot: 12300 * time.Millisecond, Ready: 15 * time.Second,
		},
		Tally: machine.Tally{Attempts: 7, ExternalStarts: 8, Conflicts: 9, SavedJoules: 7.2e6},
	}
	nas.Tally.Wakes[machine.ByTCP], nas.Tally.Wakes[machine.ByAPI] = 3, 1
	nas.Suppressed[machine.InQuietHours] = 2
	nas.Ignored = []machine.Ignored{{
		Reason: machine.InQuietHours, Service: nas.LastWake.Service, Source: nas.LastWake.Source, First: testTime, Last: testTime, Count: 2,
	}}
	nas.Agentless = true
	return &fakeBackend{
		machines: []machine.Status{{Spec: machine.Spec{Name: "pc\x1b", Agentless: true}, Since: testTime}, nas},
		guard:    guard.Status{Mode: "auto", Active: true}, storage: journal.Health{Healthy: true},
	}
}

func (s *fakeBackend) Pause(_ context.Context, _ string, until time.Time, _ string) error {
	s.machines[1].PausedUntil = until
	return nil
}

func (s *fakeBackend) Unpause(context.Context, string, string) error {
	s.machines[1].PausedUntil = time.Time{}
	return nil
}
