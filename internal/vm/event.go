package vm

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// EventKind is something that happens to a machine.
type EventKind string

// What happens to machines.
const (
	PoweredOn   EventKind = "powered on"
	CommandsUp  EventKind = "takes commands" // booted so far that Run works
	Suspended   EventKind = "suspended"
	Resumed     EventKind = "resumed"
	Restarted   EventKind = "restarted" // it rebooted by itself
	PoweredOff  EventKind = "powered off"
	MagicPacket EventKind = "magic packet"
	Failed      EventKind = "failed" // the harness, not the machine
)

// An Event is what happened to a machine.
type Event struct {
	Kind   EventKind
	Time   time.Time
	Detail string
}

// String returns a line for logs and failed tests.
func (e Event) String() string {
	return fmt.Sprintf("%s %s %s", e.Time.Format("15:04:05.000"), e.Kind, e.Detail)
}

// events is what happened so far, in order.
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

// wait returns the first event of a kind after the first n, and waits for it if there
// is none yet. What the harness could not do ends the waiting.
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
