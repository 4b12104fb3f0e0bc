package lab

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// An EventKind is the kind of an event of a machine.
type EventKind string

// What happens to machines.
const (
	AsleepNow   EventKind = "asleep"         // off, and not a frame more from it
	MagicPacket EventKind = "magic packet"   // one that is valid for this machine, in whatever state
	PoweredOn   EventKind = "powered on"     // by magic packet or by hand
	NetworkUp   EventKind = "network up"     // every address usable or found to be a duplicate
	CardDown    EventKind = "card down"      // an outage begins that MachineConfig.Flap asked for
	ServiceUp   EventKind = "service up"     // listening
	Accepted    EventKind = "accepted"       // a TCP connection
	Datagram    EventKind = "datagram"       // to a UDP service
	DADFailed   EventKind = "duplicate"      // an address of the machine is in use by another host
	Failed      EventKind = "machine failed" // the lab could not do what it should
)

// A Transport is the way a magic packet came.
type Transport string

// The ways of a magic packet.
const (
	OverEthernet Transport = "ethernet" // EtherType 0x0842
	OverUDP      Transport = "udp"      // port 7 or 9
)

// An Event is one entry of a machine's log. Fields that mean nothing for its
// kind are zero.
type Event struct {
	Kind      EventKind
	Time      time.Time
	Detail    string         // for people; the payload of a Datagram
	Transport Transport      // MagicPacket
	Broadcast bool           // MagicPacket: sent to the Ethernet broadcast address
	Remote    netip.AddrPort // Accepted, Datagram
	Service   ServiceConfig  // ServiceUp, Accepted, Datagram
	Addr      netip.Addr     // DADFailed
}

// An eventLog keeps events in order and lets goroutines wait for them.
type eventLog struct {
	mu      sync.Mutex
	events  []Event
	next    map[EventKind]int // where WaitEvent goes on looking
	changed chan struct{}     // closed by the next event
}

func newEventLog() *eventLog {
	return &eventLog{next: make(map[EventKind]int), changed: make(chan struct{})}
}

// add appends an event. Without a time of its own it is one of now.
func (l *eventLog) add(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	l.events = append(l.events, e)
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *eventLog) all() []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events)
}

// skip makes take ignore what happened so far.
func (l *eventLog) skip(kinds ...EventKind) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range kinds {
		l.next[k] = len(l.events)
	}
}

// take returns the first event of kind that no take returned before, or else
// the signal of the next event.
func (l *eventLog) take(kind EventKind) (Event, bool, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := l.next[kind]; i < len(l.events); i++ {
		if l.events[i].Kind == kind {
			l.next[kind] = i + 1
			return l.events[i], true, nil
		}
	}
	l.next[kind] = len(l.events)
	return Event{}, false, l.changed
}

// since returns the events from index on, and the signal of the next one.
func (l *eventLog) since(index int) ([]Event, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events[index:]), l.changed
}

// Log returns everything that happened to the machine, in order, from its
// making on.
func (m *Machine) Log() []Event { return m.log.all() }

// WaitEvent returns the next event of a kind: the first since the machine was
// added that no WaitEvent returned before, already logged or still to come.
// Two that wait for the same kind get one event each.
func (m *Machine) WaitEvent(ctx context.Context, kind EventKind) (Event, error) {
	for {
		e, ok, changed := m.log.take(kind)
		if ok {
			return e, nil
		}
		select {
		case <-ctx.Done():
			return Event{}, fmt.Errorf("machine %s, %s: wait for %q: %w", m.name, m.State(), kind, context.Cause(ctx))
		case <-m.lan.ctx.Done():
			return Event{}, fmt.Errorf("machine %s: wait for %q: %w", m.name, kind, context.Cause(m.lan.ctx))
		case <-changed:
		}
	}
}

// Events follows the machine's log from its beginning. The channel is closed
// when ctx ends or the LAN is closed. It is independent of WaitEvent.
func (m *Machine) Events(ctx context.Context) <-chan Event {
	ch := make(chan Event)
	ok := m.lan.start(func() {
		defer close(ch)
		for seen := 0; ; {
			events, changed := m.log.since(seen)
			seen += len(events)
			for _, e := range events {
				if !m.deliver(ctx, ch, e) {
					return
				}
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			case <-m.lan.ctx.Done():
				return
			}
		}
	})
	if !ok {
		close(ch)
	}
	return ch
}

func (m *Machine) deliver(ctx context.Context, ch chan<- Event, e Event) bool {
	select {
	case ch <- e:
		return true
	case <-ctx.Done():
		return false
	case <-m.lan.ctx.Done():
		return false
	}
}
