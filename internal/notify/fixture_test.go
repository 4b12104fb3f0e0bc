package notify

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/logtest"
	"nightporter/internal/notifyconf"
)

// fakeJournal is a journal in memory, with as little room for a follower as there may be.
type fakeJournal struct {
	mu       sync.Mutex
	events   []journal.Event
	follower chan journal.Event
	room     int
	keeps    int  // events; 0: all
	mute     bool // tell followers nothing
}

func (d *fakeJournal) Events(since uint64, name string, limit int) []journal.Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	var found []journal.Event
	for _, e := range d.events {
		if e.Seq > since && (name == "" || e.Machine == name) {
			found = append(found, e)
		}
	}
	if limit > 0 && len(found) > limit {
		found = found[len(found)-limit:]
	}
	return found
}

func (d *fakeJournal) Follow(ctx context.Context) <-chan journal.Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	events := make(chan journal.Event, d.room)
	d.follower = events
	context.AfterFunc(ctx, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.follower == events {
			d.follower = nil
		}
		close(events)
	})
	return events
}

func (d *fakeJournal) followed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.follower != nil
}

// add has events happen now.
func (d *fakeJournal) add(events ...journal.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range events {
		e.At = time.Now()
		e.Seq = 1
		if n := len(d.events); n > 0 {
			e.Seq = d.events[n-1].Seq + 1
		}
		d.events = append(d.events, e)
		if d.keeps > 0 && len(d.events) > d.keeps {
			d.events = d.events[1:]
		}
		if d.follower == nil || d.mute {
			continue
		}
		select {
		case d.follower <- e:
		default:
		}
	}
}

// post is what a target got.
type inbox struct {
	mu   sync.Mutex
	got  []Message
	at   []time.Time
	fail func(try int) error // what a try comes to; nil: all are delivered
	try  int
}

func (p *inbox) deliver(m Message) error {
	p.mu.Lock()
	p.try++
	try, fail := p.try, p.fail
	p.at = append(p.at, time.Now())
	p.mu.Unlock()
	if fail != nil {
		if err := fail(try); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, m)
	return nil
}

func (p *inbox) tries() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.try
}

func (p *inbox) texts() (texts []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.got {
		texts = append(texts, m.Text)
	}
	return texts
}

// fixture is a notifier in a bubble of synctest, with what it works on.
type fixture struct {
	*Notifier
	t       *testing.T
	journal *fakeJournal
	log     *logtest.Log
	inboxes map[string]*inbox // by URL
	mu      sync.Mutex
	counts  map[Outcome]int
	ended   chan error
	stop    context.CancelFunc
}

// target returns the target of a name.
func target(name string) notifyconf.Target {
	t, err := notifyconf.Parse("ntfy://"+name+"/secret", nil)
	if err != nil {
		panic(err)
	}
	return t
}

func settings(rate int, names ...string) notifyconf.Settings {
	s := notifyconf.Settings{Events: []journal.Kind{journal.Failed, journal.Conflict}, Rate: rate}
	for _, name := range names {
		s.URLs = append(s.URLs, target(name))
	}
	return s
}

// newFixture makes a notifier that is not running yet.
func newFixture(t *testing.T, d *fakeJournal, s notifyconf.Settings) *fixture {
	k := &fixture{t: t, journal: d, log: new(logtest.Log), inboxes: make(map[string]*inbox), counts: make(map[Outcome]int), ended: make(chan error, 1)}
	k.Notifier = New(d, s, func(o Outcome) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.counts[o]++
	}, k.log.LoggerAt(slog.LevelInfo))
	k.deliver = func(t notifyconf.Target) func(Message) error { return k.inbox(t).deliver }
	return k
}

func (k *fixture) inbox(t notifyconf.Target) *inbox {
	k.mu.Lock()
	defer k.mu.Unlock()
	name := strings.TrimSuffix(strings.TrimPrefix(t.URL(), "ntfy://"), "/secret")
	if k.inboxes[name] == nil {
		k.inboxes[name] = new(inbox)
	}
	return k.inboxes[name]
}

// run starts it; it ends with the test at the latest.
func (k *fixture) run() *fixture {
	ctx, stop := context.WithCancel(k.t.Context())
	k.stop = stop
	go func() { k.ended <- k.Run(ctx) }()
	return k
}

// end stops it, which has to take no time.
func (k *fixture) end() {
	k.t.Helper()
	began := time.Now()
	k.stop()
	if err := <-k.ended; err != nil {
		k.t.Errorf("Run returned %v", err)
	}
	if took := time.Since(began); took > 0 {
		k.t.Errorf("it took %v to end", took)
	}
	if s := k.log.String(); strings.Contains(s, "secret") {
		k.t.Errorf("the log tells a secret:\n%s", s)
	}
}

func (k *fixture) wantCounts(sent, failed, suppressed int) {
	k.t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.counts[Sent] != sent || k.counts[Failed] != failed || k.counts[Suppressed] != suppressed {
		k.t.Errorf("counted %v, want %d sent, %d failed, %d suppressed", k.counts, sent, failed, suppressed)
	}
}

func failure(name string) journal.Event {
	return journal.Event{Kind: journal.Failed, Machine: name, MAC: ether.MAC{2, 0, 0, 0, 0, 1}, Attempts: 6}
}

func knock(name string) journal.Event {
	return journal.Event{Kind: journal.Knock, Machine: name, Source: netip.MustParseAddrPort("192.0.2.9:40000"), Service: "192.0.2.5:22/tcp"}
}
