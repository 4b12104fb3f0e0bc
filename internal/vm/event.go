package vm

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// EventKind is a kind of event.
type EventKind string

// The kinds of events of machines.
const (
	PoweredOn   EventKind = "powered on"
	CommandsUp  EventKind = "takes commands" // booted far enough for Run
	Suspended   EventKind = "suspended"
	Resumed     EventKind = "resumed"
	Restarted   EventKind = "restarted" // the machine rebooted
	PoweredOff  EventKind = "powered off"
	MagicPacket EventKind = "magic packet"
	Failed      EventKind = "failed" // a failure of this package, not of the machine
)

// An Event is an event of a machine.
type Event struct {
	Kind   EventKind
	Time   time.Time
	Detail string
}

// String returns a line for logs and failed tests.
func (e Event) String() string {
	return fmt.Sprintf("%s %s %s", e.Time.Format("15:04:05.000"), e.Kind, e.Detail)
}

// events are the events so far, in order.
type events struct {
	mu      sync.Mutex
	all     []Event
	changed chan struct{} // closed and renewed at every event
}

func newEvents() *events { return &events{changed: make(chan struct{})} }

func (l *events) add(kind EventKind, detail string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, Event{Kind: kind, Time: time.Now(), Detail: detail})
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *events) since(index int) ([]Event, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all[index:]), l.changed
}

// wait returns the first event of a kind after the first n events, and waits for it if
// necessary. An event of kind Failed ends the wait with an error.
func (l *events) wait(ctx context.Context, n int, kind EventKind) (Event, error) {
	for {
		found, changed := l.since(n)
		n += len(found)
		for _, e := range found {
			switch e.Kind {
			case kind:
				return e, nil
			case Failed:
				return e, fmt.Errorf("wait until it is %q: %s", kind, e.Detail)
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			all, _ := l.since(0)
			return Event{}, fmt.Errorf("wait until it is %q, after %v: %w", kind, all, context.Cause(ctx))
		}
	}
}
