package web_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nightporter/internal/browsertest"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/web"
)

// liveBackend is a backend of several machines to which something happens, on its own
// clock.
type liveBackend struct {
	fakeBackend

	mu       sync.Mutex
	now      time.Time
	machines []machine.Status
}

// evening is when people look at the page.
var evening = time.Date(2026, 1, 2, 20, 36, 10, 0, time.Local)

// newLiveBackend returns a backend in which each state and outcome is seen.
func newLiveBackend() *liveBackend {
	h := &liveBackend{now: evening}
	h.storage.Healthy, h.guard.Active, h.room = true, true, 100
	tower := testMachine("tower", "192.168.1.20", machine.Asleep, 3*time.Hour+12*time.Minute, 7.5, 9, 10.2, 6, 8.8, 14, 9.1)
	tower.LastWake = knockedAt(20*time.Hour, "192.168.1.31:50112", "192.168.1.20", 22)
	nas := testMachine("nas", "192.168.1.5", machine.Awake, 48*time.Minute, 20, 21.5, 19, 18, 22, 20.4, 16.6)
	nas.Monitor = append(nas.Monitor, machine.Address{IP: netip.MustParseAddr("2001:db8:12::5")})
	nas.LastWake = knockedAt(49*time.Minute, "192.168.1.44:61002", "192.168.1.5", 445)
	nas.LastWake.Boot, nas.LastWake.Ready = 31400*time.Millisecond, 38200*time.Millisecond
	media := testMachine("media", "192.168.1.40", machine.Waking, 4*time.Second, 11, 13, 24, 24, 9, 12, 10.5)
	media.LastWake = machine.LastWake{
		At: evening.Add(-4 * time.Second), Trigger: machine.ByAPI, By: "192.168.1.31:50380", Outcome: machine.UnderWay, Attempts: 1,
	}
	printer := testMachine("printer", "192.168.1.61", machine.Asleep, 9*time.Hour+4*time.Minute, 24, 24, 21, 24, 24, 22, 14.7)
	printer.LastWake = knockedAt(9*time.Hour+6*time.Minute, "192.168.1.31:40000", "192.168.1.61", 631)
	printer.LastWake.Outcome, printer.LastWake.Attempts = machine.GivenUp, 6
	workstation := testMachine("desk", "192.168.1.71", machine.Settling, 2*time.Second)
	h.machines = []machine.Status{tower, nas, media, printer, workstation}
	h.tellStory()
	return h
}

// testMachine returns a machine. Slept says how many hours on each of the last
// days, the last one being today.
func testMachine(name, ip string, state machine.State, since time.Duration, slept ...float64) machine.Status {
	s := machine.Status{
		Spec: machine.Spec{
			Name: name, IdleWatts: 50, SleepWatts: 2,
			Monitor: []machine.Address{{IP: netip.MustParseAddr(ip), Ports: []machine.Port{{Protocol: machine.TCP, Number: 22}}}},
		},
		State: state, Since: evening.Add(-since), Counted: evening.Add(-60 * 24 * time.Hour), Registered: evening.Add(-since), Addresses: []machine.AddressStatus{{IP: netip.MustParseAddr(ip)}},
	}
	for i, hours := range slept {
		d := time.Duration(hours * float64(time.Hour))
		s.Tally.SavedJoules += 4 * d.Seconds() * 48
		if i == len(slept)-1 && state == machine.Asleep {
			d -= since // the present sleep counts by itself
		}
		s.SleepLog = append(s.SleepLog, machine.Day{Date: evening.AddDate(0, 0, i+1-len(slept)).Format(time.DateOnly), Slept: d})
	}
	return s
}

func knockedAt(ago time.Duration, source, ip string, port uint16) machine.LastWake {
	return machine.LastWake{
		At: evening.Add(-ago), Trigger: machine.ByTCP, Source: netip.MustParseAddrPort(source), Outcome: machine.Served,
		Service:  machine.Service{Addr: netip.MustParseAddr(ip), Port: machine.Port{Protocol: machine.TCP, Number: port}},
		Attempts: 1, Boot: 12300 * time.Millisecond, Ready: 14900 * time.Millisecond,
	}
}

// tellStory has the evening happen, as the machines say it was.
func (h *liveBackend) tellStory() {
	at := func(ago time.Duration, e journal.Event) {
		e.At = evening.Add(-ago)
		h.tell(e)
	}
	pc, phone := netip.MustParseAddrPort("192.168.1.31:40000"), netip.MustParseAddrPort("192.168.1.44:61002")
	at(9*time.Hour+6*time.Minute, journal.Event{Kind: journal.Knock, Machine: "printer", Source: pc, Service: "192.168.1.61:631/tcp"})
	at(9*time.Hour+4*time.Minute, journal.Event{Kind: journal.Failed, Machine: "printer", Attempts: 6, Trigger: "tcp", Source: pc, Service: "192.168.1.61:631/tcp"})
	at(3*time.Hour+13*time.Minute, journal.Event{Kind: journal.Registered, Machine: "tower"})
	at(3*time.Hour+12*time.Minute, journal.Event{Kind: journal.Asleep, Machine: "tower", Reason: "fell silent"})
	at(2*time.Hour+55*time.Minute, journal.Event{
		Kind: journal.Suppressed, Machine: "tower", Source: phone, Service: "192.168.1.20:22/tcp", Reason: "wake.min_knocks",
	})
	at(49*time.Minute, journal.Event{Kind: journal.Knock, Machine: "nas", Source: phone, Service: "192.168.1.5:445/tcp"})
	at(49*time.Minute, journal.Event{Kind: journal.Magic, Machine: "nas", Attempts: 1})
	at(48*time.Minute+29*time.Second, journal.Event{Kind: journal.Arrived, Machine: "nas"})
	at(48*time.Minute+22*time.Second, journal.Event{
		Kind: journal.Ready, Machine: "nas", Source: phone, Service: "192.168.1.5:445/tcp",
		Boot: 31400 * time.Millisecond, Ready: 38200 * time.Millisecond,
	})
	at(2*time.Minute, journal.Event{Kind: journal.Registered, Machine: "desk"})
	at(4*time.Second, journal.Event{Kind: journal.Asked, Machine: "media", By: "192.168.1.31:50380", Trigger: "api"})
	at(4*time.Second, journal.Event{Kind: journal.Magic, Machine: "media", Attempts: 1})
}

func (h *liveBackend) Machines() []machine.Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]machine.Status(nil), h.machines...)
}

// set changes what is known of a machine.
func (h *liveBackend) set(name string, change func(*machine.Status)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.machines {
		if h.machines[i].Name == name {
			change(&h.machines[i])
		}
	}
}

func (h *liveBackend) Wake(_ context.Context, name, by string) error {
	if h.fail != nil {
		return h.fail
	}
	awake := false
	h.set(name, func(s *machine.Status) {
		if awake = s.State == machine.Awake; awake {
			return
		}
		s.State, s.Since = machine.Waking, evening
		s.LastWake = machine.LastWake{At: evening, Trigger: machine.ByAPI, By: by, Outcome: machine.UnderWay}
	})
	if awake {
		h.tell(journal.Event{At: evening, Kind: journal.Magic, Machine: name, Attempts: 1})
		return nil
	}
	h.tell(journal.Event{At: evening, Kind: journal.Asked, Machine: name, By: by, Trigger: "api"})
	return nil
}

func (h *liveBackend) Forget(_ context.Context, name, _ string) error {
	h.mu.Lock()
	h.machines = slices.DeleteFunc(slices.Clone(h.machines), func(s machine.Status) bool { return s.Name == name })
	h.mu.Unlock()
	h.tell(journal.Event{At: evening, Kind: journal.Forgotten, Machine: name})
	return nil
}

// fails ends a wake badly.
func (h *liveBackend) fails(name string) {
	h.set(name, func(s *machine.Status) {
		s.State = machine.Asleep
		s.LastWake.At, s.LastWake.Outcome, s.LastWake.Attempts = evening, machine.GivenUp, 6
	})
	h.tell(journal.Event{At: evening, Kind: journal.Failed, Machine: name, Attempts: 6})
}

// ready ends a wake well.
func (h *liveBackend) ready(name string) {
	h.set(name, func(s *machine.Status) {
		s.State = machine.Awake
		s.LastWake.Outcome, s.LastWake.Boot, s.LastWake.Ready = machine.Served, 12300*time.Millisecond, 14900*time.Millisecond
	})
	h.tell(journal.Event{At: evening, Kind: journal.Ready, Machine: name, Boot: 12300 * time.Millisecond, Ready: 14900 * time.Millisecond})
}

// home is where a browser finds the page of a backend: a name that only its proxy
// knows.
const home = "http://porter.local/"

// opened opens the page of a backend in a browser, and waits until it follows.
func opened(t *testing.T, h web.Backend, change func(*web.Options)) *browsertest.Browser {
	t.Helper()
	b := visit(t, h, change)
	b.Go(home)
	b.Until(live)
	return b
}

// visit returns a browser that reaches a backend at home.
func visit(t *testing.T, h web.Backend, change func(*web.Options)) *browsertest.Browser {
	t.Helper()
	opts := web.Options{
		Backend: h, Gatherer: prometheus.NewRegistry(), Version: "1.2.3", Now: func() time.Time { return evening },
	}
	if change != nil {
		change(&opts)
	}
	return browse(t, newServer(t, opts).Handler())
}

// browse returns a browser that reaches a handler at home.
func browse(t *testing.T, handler http.Handler) *browsertest.Browser {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	b := browsertest.Open(t, func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, strings.TrimPrefix(srv.URL, "http://"))
	})
	b.Look(1200, 800, false)
	return b
}
