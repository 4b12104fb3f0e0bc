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

// storied is a House of which only the events are asked for.
type storied struct {
	web.House
	journal *journal.Journal
}

func (s storied) Events(since uint64, name string, limit int) []journal.Event {
	return s.journal.Events(since, name, limit)
}

func (s storied) Machines() []machine.Status { return nil }

func (s storied) Follow(ctx context.Context) <-chan journal.Event { return s.journal.Follow(ctx) }

// storyOf serves events, and returns where, and the journal that they are in.
func storyOf(t *testing.T, events ...journal.Event) (string, *journal.Journal) {
	t.Helper()
	j, _, err := journal.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		j.Append(journal.Record{Event: e})
	}
	s, err := web.New(web.Options{House: storied{journal: j}, Gatherer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		_ = j.Close() // ends the streams; a test may have done so
		srv.Close()
	})
	return srv.URL, j
}

// staffed is a House with machines. What follows a wake is the test's to say.
type staffed struct {
	storied
	machines []machine.Status
	ready    error
	guard    guard.Status
	storage  journal.Health
	history  journal.MachineHistory // of each
	wake     func(*journal.Journal) // after it was asked for; may be nil
	later    func()                 // once the machines are looked at again; may be nil
	looks    int
}

func (s *staffed) Machines() []machine.Status {
	if s.looks++; s.looks == 3 && s.later != nil {
		s.later()
	}
	return s.machines
}

func (s *staffed) Ready() error { return s.ready }

func (s *staffed) Guard() guard.Status { return s.guard }

func (s *staffed) Storage() journal.Health { return s.storage }

func (s *staffed) History(ether.MAC) journal.MachineHistory { return s.history }

func (s *staffed) WakeRules() machine.WakeRules { return machine.WakeRules{} }

func (s *staffed) Wake(_ context.Context, name, _ string) error {
	for i := range s.machines {
		if s.machines[i].Name != name {
			continue
		}
		if s.machines[i].State != machine.Awake {
			s.machines[i].State = machine.Waking
		}
		if s.wake != nil {
			s.wake(s.journal)
		}
		return nil
	}
	return machine.ErrUnknown
}

func (s *staffed) Forget(_ context.Context, name, _ string) error {
	was := len(s.machines)
	s.machines = slices.DeleteFunc(s.machines, func(m machine.Status) bool { return m.Name == name })
	if len(s.machines) == was {
		return machine.ErrUnknown
	}
	return nil
}

// staff opens a house, and returns where it is.
func staff(t *testing.T, s *staffed, access web.Access) string {
	t.Helper()
	j, _, err := journal.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.journal = j
	j.Append(journal.Record{Event: journal.Event{At: evening, Kind: journal.Failed, Machine: "nas"}}) // long ago
	server, err := web.New(web.Options{
		House: s, Gatherer: prometheus.NewRegistry(), Version: "1.2.3", Access: access,
		Now: func() time.Time { return evening.Add(time.Hour) },
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

// twoMachines is a house where all is well: one machine sleeps.
func twoMachines() *staffed {
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
		State: machine.Asleep, Since: evening, Diary: machine.Diary{{Date: evening.Local().AddDate(0, 0, -2).Format(time.DateOnly), Slept: 7 * time.Hour}}, LastWake: machine.LastWake{
			At: evening.Add(-24 * time.Hour), Trigger: machine.ByTCP, Source: netip.MustParseAddrPort("10.77.0.10:40000"), Outcome: machine.Served,
			Service:  machine.Service{Addr: netip.MustParseAddr("10.77.0.20"), Port: machine.Port{Protocol: machine.TCP, Number: 22}},
			Attempts: 2, Boot: 12300 * time.Millisecond, Ready: 15 * time.Second,
		},
		Tally: machine.Tally{Attempts: 7, ExternalStarts: 8, Conflicts: 9, SavedJoules: 7.2e6},
	}
	nas.Tally.Wakes[machine.ByTCP], nas.Tally.Wakes[machine.ByAPI] = 3, 1
	nas.Suppressed[machine.InQuietHours] = 2
	nas.Ignored = []machine.Ignored{{
		Reason: machine.InQuietHours, Service: nas.LastWake.Service, Source: nas.LastWake.Source, First: evening, Last: evening, Count: 2,
	}}
	nas.Agentless = true
	return &staffed{
		machines: []machine.Status{{Spec: machine.Spec{Name: "pc\x1b", Agentless: true}, Since: evening}, nas},
		guard:    guard.Status{Mode: "auto", Active: true}, storage: journal.Health{Healthy: true},
	}
}

func (s *staffed) Pause(_ context.Context, _ string, until time.Time, _ string) error {
	s.machines[1].PausedUntil = until
	return nil
}

func (s *staffed) Unpause(context.Context, string, string) error {
	s.machines[1].PausedUntil = time.Time{}
	return nil
}
