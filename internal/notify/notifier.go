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

// Outcome is the result of a notification.
type Outcome string

// The outcomes. A message counts once for each target, a suppressed event once.
const (
	Sent       Outcome = "sent"
	Failed     Outcome = "failed"     // given up
	Suppressed Outcome = "suppressed" // not sent by itself because of the rate
)

// Journal is the part of *journal.Journal that a Notifier uses; tests replace it.
type Journal interface {
	Events(since uint64, machine string, limit int) []journal.Event
	Follow(context.Context) <-chan journal.Event
}

// Notifier sends messages about events. Make it with New, then Run it.
type Notifier struct {
	journal Journal
	count   func(Outcome)
	log     *slog.Logger
	deliver func(notifyconf.Target) func(Message) error // returns what delivers to a target

	mu       sync.Mutex
	settings notifyconf.Settings
	changed  chan struct{}

	// Used by Run alone.
	senders  map[notifyconf.Target]*sender
	running  sync.WaitGroup
	quota    quota
	omitted  summary
	events   <-chan journal.Event // nil: there is no target
	unfollow context.CancelFunc   // ends events
	seen     uint64               // Seq of the last event that was handled
	behind   bool                 // the journal may have left out events
}

// New returns a notifier for the events that the journal gets from now on, not for those from
// before a restart. count is called for each outcome.
func New(j Journal, s notifyconf.Settings, count func(Outcome), log *slog.Logger) *Notifier {
	n := &Notifier{
		journal: j, count: count, log: log, settings: s,
		changed: make(chan struct{}, 1), senders: make(map[notifyconf.Target]*sender),
		deliver: func(t notifyconf.Target) func(Message) error { return newDelivery(t).deliver },
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

// Configure changes the settings. Messages that wait for a target that stays are not affected.
func (n *Notifier) Configure(s notifyconf.Settings) {
	n.mu.Lock()
	n.settings = s
	n.mu.Unlock()
	select {
	case n.changed <- struct{}{}:
	default: // Run has not read the last change yet
	}
}

// Run sends messages until ctx ends, and then returns nil. Messages that are not delivered by
// then are dropped, and logged.
func (n *Notifier) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer n.running.Wait()
	defer cancel()
	n.apply(ctx, n.seen)
	open := time.NewTimer(0)
	defer open.Stop()
	for {
		if n.omitted.total > 0 {
			open.Reset(time.Until(n.quota.nextFree()))
		}
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-n.events:
			if !ok { // the journal ends first
				n.events = nil
				continue
			}
			n.receive(e)
		case <-n.changed:
			n.apply(ctx, n.newest())
		case <-open.C:
			n.summarize()
		}
	}
}

// apply applies the settings. Without a target before, only events after since are sent.
func (n *Notifier) apply(ctx context.Context, since uint64) {
	n.mu.Lock()
	s := n.settings
	n.mu.Unlock()
	n.quota.kinds, n.quota.rate = s.Events, s.Rate
	for t, c := range n.senders {
		if !slices.Contains(s.URLs, t) {
			c.stop()
			delete(n.senders, t)
		}
	}
	for _, t := range s.URLs {
		if n.senders[t] == nil {
			n.startSender(ctx, t)
		}
	}
	switch {
	case len(s.URLs) == 0 && n.events != nil:
		n.unfollow()
		n.events, n.omitted = nil, summary{}
	case len(s.URLs) > 0 && n.events == nil:
		following, unfollow := context.WithCancel(ctx)
		n.events, n.unfollow, n.seen = n.journal.Follow(following), unfollow, since
		n.catchUp() // with the events before Follow
	}
}

func (n *Notifier) startSender(ctx context.Context, t notifyconf.Target) {
	ctx, stop := context.WithCancel(ctx)
	c := &sender{target: t, deliver: n.deliver(t), queue: make(chan Message, backlog), count: n.count, log: n.log, stop: stop}
	n.senders[t] = c
	n.running.Go(func() {
		defer stop()
		c.run(ctx)
	})
}

// receive handles an event of Follow. The journal leaves events out if the channel is full; they
// are then read from the journal.
func (n *Notifier) receive(e journal.Event) {
	n.behind = n.behind || len(n.events) >= cap(n.events)-1
	switch {
	case e.Seq == n.seen+1:
		n.seen = e.Seq
		n.notify(e)
	case e.Seq > n.seen:
		n.catchUp()
	}
	if n.behind && len(n.events) == 0 {
		n.behind = false
		n.catchUp()
	}
}

// catchUp handles the events of the journal after the last one that was handled.
func (n *Notifier) catchUp() {
	missed := n.journal.Events(n.seen, "", 0)
	if len(missed) > 0 && missed[0].Seq > n.seen+1 {
		n.log.Warn("events lost before notification", "event", "notification_overrun", "forgotten", missed[0].Seq-n.seen-1)
	}
	for _, e := range missed {
		n.seen = e.Seq
		n.notify(e)
	}
}

// notify sends a message about an event, or adds the event to the summary if the rate does not
// allow one. A wake test reports to the user who runs it.
func (n *Notifier) notify(e journal.Event) {
	if e.Test || !slices.Contains(n.quota.kinds, e.Kind) {
		return
	}
	if !n.quota.take(time.Now(), e) {
		if n.omitted.total == 0 {
			n.log.Warn("notification rate reached, further events will be summarized", "event", "notification_rate", "rate", n.quota.rate, "kind", e.Kind, "until", n.quota.nextFree())
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

// summarize sends the summary in a message of its own, if the rate allows one.
func (n *Notifier) summarize() {
	for _, e := range n.omitted.first() {
		if n.quota.take(time.Now(), e) {
			n.send(n.omitted.message())
			return
		}
	}
}

func (n *Notifier) send(m Message) {
	n.omitted = summary{}
	for _, c := range n.senders {
		c.enqueue(m)
	}
}
