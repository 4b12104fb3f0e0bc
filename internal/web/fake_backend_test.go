package web_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"nightporter/internal/ether"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"nightporter/internal/guard"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var midnight = time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)

// fakeBackend is a Backend that remembers what it was asked to do.
type fakeBackend struct {
	eventLog
	machines []machine.Status
	rules    machine.WakeRules
	ready    error
	guard    guard.Status
	storage  journal.Health
	history  journal.MachineHistory // of each machine
	fail     error                  // the error of every action on every machine
	block    bool                   // whatever is to be done waits for its context

	mu   sync.Mutex
	done []string // "wake nas"
	by   []string
}

func (h *fakeBackend) Machines() []machine.Status { return h.machines }
func (h *fakeBackend) Ready() error               { return h.ready }
func (h *fakeBackend) Guard() guard.Status        { return h.guard }
func (h *fakeBackend) Storage() journal.Health    { return h.storage }

func (h *fakeBackend) History(ether.MAC) journal.MachineHistory { return h.history }
func (h *fakeBackend) WakeRules() machine.WakeRules             { return h.rules }

func (h *fakeBackend) Wake(ctx context.Context, name, by string) error {
	return h.act(ctx, "wake", name, by)
}

func (h *fakeBackend) Forget(ctx context.Context, name, by string) error {
	return h.act(ctx, "forget", name, by)
}

func (h *fakeBackend) TestWake(ctx context.Context, name, by string) error {
	return h.act(ctx, "test", name, by)
}

func (h *fakeBackend) Pause(ctx context.Context, name string, until time.Time, by string) error {
	return h.act(ctx, "pause until "+until.Format(time.DateTime), name, by)
}

func (h *fakeBackend) Unpause(ctx context.Context, name, by string) error {
	return h.act(ctx, "resume", name, by)
}

func (h *fakeBackend) WakeMAC(ctx context.Context, mac ether.MAC, by string) error {
	if err := h.act(ctx, "wake", mac.String(), by); !errors.Is(err, machine.ErrUnknown) {
		return err
	}
	return nil
}

func (h *fakeBackend) act(ctx context.Context, action, name, by string) error {
	h.mu.Lock()
	h.done = append(h.done, action+" "+name)
	h.by = append(h.by, by)
	h.mu.Unlock()
	if h.block {
		<-ctx.Done()
		return ctx.Err()
	}
	if h.fail != nil {
		return h.fail
	}
	for _, m := range h.machines {
		if m.Name == name {
			return nil
		}
	}
	return machine.ErrUnknown
}

// log collects what is logged.
type log struct {
	mu sync.Mutex
	sb strings.Builder
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sb.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sb.String()
}

func (l *log) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *log) verbose() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

var guestMAC = ether.MAC{0x52, 0x54, 0, 0, 0, 5}

func nas() machine.Status {
	s := machine.Status{
		Spec: machine.Spec{
			Name: "nas", MAC: ether.MAC{0xd8, 0xcb, 0x8a, 0x39, 0xbe, 0xa1}, WakeMAC: ether.MAC{0xd8, 0xcb, 0x8a, 0x39, 0xbe, 0xa2},
			Monitor: []machine.Address{
				{IP: netip.MustParseAddr("192.0.2.5"), Ports: []machine.Port{
					{Protocol: machine.TCP, Number: 22}, {Protocol: machine.UDP, Number: 51820}, {Protocol: machine.ICMP},
				}, Settings: map[machine.Port]machine.Settings{{Protocol: machine.TCP, Number: 22}: {
					Ready:        machine.Ready{By: machine.ByBanner, Banner: "SSH-2.0"},
					ReadyTimeout: 3 * time.Minute, Established: new(bool), WakeFrom: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
				}}},
				{IP: netip.MustParseAddr("2001:db8::5"), MAC: guestMAC},
			},
			IdleWatts: 50, SleepWatts: 2, Agentless: true,
			Password: []byte("hunter"),
		},
		State: machine.Asleep,
		Since: midnight,
		Arrival: machine.Arrival{Since: midnight, Until: midnight.Add(time.Minute), Idle: midnight.Add(30 * time.Second), NotReady: []machine.Service{
			{Addr: netip.MustParseAddr("192.0.2.5"), Port: machine.Port{Protocol: machine.TCP, Number: 22}},
		}},
		PausedUntil: midnight.Add(time.Hour), Registered: midnight.Add(-time.Minute), Heard: midnight,
		Counted: midnight.Add(-72 * time.Hour), WakeTimeout: 5 * time.Minute, Inquiry: machine.InquiryOpen,
		Addresses: []machine.AddressStatus{
			{IP: netip.MustParseAddr("192.0.2.5"), Standing: machine.Claimed},
			{IP: netip.MustParseAddr("2001:db8::5"), MAC: guestMAC, Standing: machine.Waiting, Reason: "the network is out"},
		},
		LastWake: machine.LastWake{
			At: midnight.Add(-time.Hour), Trigger: machine.ByTCP, Outcome: machine.Served,
			Service: machine.Service{Addr: netip.MustParseAddr("192.0.2.5"), Port: machine.Port{Protocol: machine.TCP, Number: 22}},
			Source:  netip.MustParseAddrPort("192.0.2.9:40000"), By: "automation", Attempts: 2, Boot: 12300 * time.Millisecond, Ready: 15 * time.Second, Test: true,
		},
		SleepLog: machine.SleepLog{{Date: "2025-12-31", Slept: 7 * time.Hour}, {Date: "2026-01-01", Slept: 30 * time.Minute}},
		Tally: machine.Tally{
			Attempts: 7, ExternalStarts: 8, Conflicts: 9,
			Slept: time.Hour, SavedJoules: 1000,
		},
	}
	s.Tally.Wakes[machine.ByTCP] = 3
	s.Tally.Failures[machine.ByAPI] = 1
	s.Suppressed[machine.TooFewKnocks], s.Suppressed[machine.InQuietHours] = 5, 2
	s.Ignored = []machine.Ignored{{
		Reason: machine.TooFewKnocks, Service: s.LastWake.Service, Source: s.LastWake.Source, First: midnight, Last: midnight.Add(time.Second), Count: 5,
	}}
	return s
}

func named(name string) machine.Status {
	return machine.Status{Spec: machine.Spec{Name: name}, Since: midnight}
}

func options(h *fakeBackend) web.Options {
	return web.Options{
		Backend:  h,
		Gatherer: prometheus.NewRegistry(),
		Version:  "1.2.3",
		Now:      func() time.Time { return midnight.Add(10 * time.Second) },
	}
}

func newServer(t *testing.T, opts web.Options) *web.Server {
	t.Helper()
	s, err := web.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ask sends one request to the pages of h. Headers are name and value in turn.
func ask(t *testing.T, h *fakeBackend, method, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	return askWith(t, options(h), method, path, headers...)
}

func askWith(t *testing.T, opts web.Options, method, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	return call(newServer(t, opts), method, "http://porter.local"+path, headers...)
}

// call sends a request to a server that is not run.
func call(s *web.Server, method, url string, headers ...string) *httptest.ResponseRecorder {
	return post(s, method, url, "", headers...)
}

// post is call with a body.
func post(s *web.Server, method, url, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

// eventLog is what a backend remembers, and who follows it.
type eventLog struct {
	room int // of a follower; more than that is not told
	keep int // events that are remembered; 0: all

	mu        sync.Mutex
	all       []journal.Event
	seq       uint64
	followers map[chan journal.Event]bool
}

// happen lets something happen to each of the machines, in turn.
func (c *eventLog) happen(machines ...string) {
	for _, m := range machines {
		c.tell(event(0, m))
	}
}

// last returns the Seq of the last event.
func (c *eventLog) last() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seq
}

// tell has e happen, as the next event.
func (c *eventLog) tell(e journal.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seq++
	e.Seq = c.seq
	c.all = append(c.all, e)
	if c.keep > 0 && len(c.all) > c.keep {
		c.all = c.all[1:]
	}
	for f := range c.followers {
		select {
		case f <- e:
		default:
		}
	}
}

func event(seq uint64, name string) journal.Event {
	return journal.Event{
		At: midnight, Seq: seq, Kind: journal.Knock, Machine: name,
		Source: netip.MustParseAddrPort("192.0.2.9:40000"), Service: "192.0.2.5:22/tcp", Boot: 12300 * time.Millisecond,
	}
}

func (c *eventLog) Events(since uint64, name string, limit int) []journal.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []journal.Event
	for _, e := range c.all {
		if e.Seq > since && (name == "" || e.Machine == name) {
			found = append(found, e)
		}
	}
	return found[max(0, len(found)-limit):]
}

func (c *eventLog) Follow(ctx context.Context) <-chan journal.Event {
	f := make(chan journal.Event, c.room)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.followers == nil {
		c.followers = make(map[chan journal.Event]bool)
	}
	c.followers[f] = true
	context.AfterFunc(ctx, func() { c.drop(f) })
	return f
}

func (c *eventLog) drop(f chan journal.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.followers[f] {
		delete(c.followers, f)
		close(f)
	}
}

// end has nothing happen any more.
func (c *eventLog) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for f := range c.followers {
		delete(c.followers, f)
		close(f)
	}
}

// following returns how many follow.
func (c *eventLog) following() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.followers)
}
