package notify

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/notifyconf"
)

// Outcome is what became of a notification.
type Outcome string

// The outcomes. A message counts once for each target, what is left out once.
const (
	Sent       Outcome = "sent"
	Failed     Outcome = "failed"     // given up
	Suppressed Outcome = "suppressed" // left out because of the rate
)

// Journal is what is followed; *journal.Journal is the one in earnest.
type Journal interface {
	Events(since uint64, machine string, limit int) []journal.Event
	Follow(context.Context) <-chan journal.Event
}

// Notifier tells people what happens. Make it with New, then Run it.
type Notifier struct {
	journal Journal
	count   func(Outcome)
	log     *slog.Logger
	put     func(notifyconf.Target) func(Message) error // what delivers

	mu       sync.Mutex
	settings notifyconf.Settings
	changed  chan struct{}

	// Run's own.
	couriers map[notifyconf.Target]*courier
	staff    sync.WaitGroup
	shares   shares
	omitted  omitted
	news     <-chan journal.Event // nil: there is nobody to tell
	ignore   context.CancelFunc   // ends news
	seen     uint64               // Seq of the last event that was looked at
	behind   bool                 // events may have been left out of news
}

// New returns a notifier that tells of what the journal gets from now on: what
// happened before a restart is not told again. count is called for each outcome.
func New(j Journal, s notifyconf.Settings, count func(Outcome), log *slog.Logger) *Notifier {
	n := &Notifier{
		journal: j, count: count, log: log, settings: s,
		changed: make(chan struct{}, 1), couriers: make(map[notifyconf.Target]*courier),
		put: func(t notifyconf.Target) func(Message) error { return newMailbox(t).put },
	}
	n.seen = n.newest()
	return n
}

func (n *Notifier) newest() uint64 {
	if last := n.journal.Events(0, "", 1); len(last) > 0 {
		return last[0].Seq
	}
	return 0
}

// Configure changes the settings. What waits for a target that stays is not
// affected.
func (n *Notifier) Configure(s notifyconf.Settings) {
	n.mu.Lock()
	n.settings = s
	n.mu.Unlock()
	select {
	case n.changed <- struct{}{}:
	default: // it is going to look anyway
	}
}

// Run tells until ctx ends, and returns nil then. What has not been delivered is
// given up, and said in the log.
func (n *Notifier) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer n.staff.Wait()
	defer cancel()
	n.apply(ctx, n.seen)
	open := time.NewTimer(0)
	defer open.Stop()
	for {
		if n.omitted.total > 0 {
			open.Reset(time.Until(n.shares.opens()))
		}
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-n.news:
			if !ok { // the journal ends before we do
				n.news = nil
				continue
			}
			n.hear(e)
		case <-n.changed:
			n.apply(ctx, n.newest())
		case <-open.C:
			n.summarize()
		}
	}
}

// apply takes over the settings. since is the last event that is not told when
// there was nobody to tell before.
func (n *Notifier) apply(ctx context.Context, since uint64) {
	n.mu.Lock()
	s := n.settings
	n.mu.Unlock()
	n.shares.kinds, n.shares.rate = s.Events, s.Rate
	for t, c := range n.couriers {
		if !slices.Contains(s.URLs, t) {
			c.stop()
			delete(n.couriers, t)
		}
	}
	for _, t := range s.URLs {
		if n.couriers[t] == nil {
			n.hire(ctx, t)
		}
	}
	switch {
	case len(s.URLs) == 0 && n.news != nil:
		n.ignore()
		n.news, n.omitted = nil, omitted{}
	case len(s.URLs) > 0 && n.news == nil:
		following, ignore := context.WithCancel(ctx)
		n.news, n.ignore, n.seen = n.journal.Follow(following), ignore, since
		n.catchUp() // with what happened before it was followed
	}
}

func (n *Notifier) hire(ctx context.Context, t notifyconf.Target) {
	ctx, stop := context.WithCancel(ctx)
	c := &courier{target: t, put: n.put(t), queue: make(chan Message, backlog), count: n.count, log: n.log, stop: stop}
	n.couriers[t] = c
	n.staff.Go(func() {
		defer stop()
		c.run(ctx)
	})
}

// hear takes in an event that was followed. The journal leaves events out while
// there is no room for them; then they are looked up.
func (n *Notifier) hear(e journal.Event) {
	n.behind = n.behind || len(n.news) >= cap(n.news)-1
	switch {
	case e.Seq == n.seen+1:
		n.seen = e.Seq
		n.tell(e)
	case e.Seq > n.seen:
		n.catchUp()
	}
	if n.behind && len(n.news) == 0 {
		n.behind = false
		n.catchUp()
	}
}

// catchUp takes in what the journal has since the last event that was seen.
func (n *Notifier) catchUp() {
	missed := n.journal.Events(n.seen, "", 0)
	if len(missed) > 0 && missed[0].Seq > n.seen+1 {
		n.log.Warn("too far behind to notify of all events", "event", "notification_overrun", "forgotten", missed[0].Seq-n.seen-1)
	}
	for _, e := range missed {
		n.seen = e.Seq
		n.tell(e)
	}
}

// tell passes an event on to those who want to hear of its kind. A test reports to
// the person who runs it.
func (n *Notifier) tell(e journal.Event) {
	if e.Test || !slices.Contains(n.shares.kinds, e.Kind) {
		return
	}
	if !n.shares.take(time.Now(), e) {
		if n.omitted.total == 0 {
			n.log.Warn("more notifications than notify.rate allows, the rest will be sent together later", "event", "notification_rate", "rate", n.shares.rate, "kind", e.Kind, "until", n.shares.opens())
		}
		n.log.Debug("notification suppressed", "event", "notification_suppressed", "machine", e.Machine, "kind", e.Kind, "seq", e.Seq)
		n.omitted.add(e)
		n.count(Suppressed)
		return
	}
	var began journal.Event
	if e.Kind == journal.Failed || e.Kind == journal.Ready {
		began = wakeOf(e, n.journal.Events(0, e.Machine, 0))
	}
	n.send(n.omitted.appendTo(compose(e, began)))
}

// summarize tells what was left out, when nothing else did first.
func (n *Notifier) summarize() {
	for _, e := range n.omitted.first() {
		if n.shares.take(time.Now(), e) {
			n.send(n.omitted.message())
			return
		}
	}
}

func (n *Notifier) send(m Message) {
	n.omitted = omitted{}
	for _, c := range n.couriers {
		c.offer(m)
	}
}
