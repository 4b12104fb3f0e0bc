package porter

import (
	"context"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
)

// eventLog is the part of *journal.Journal that the porter uses; tests replace it.
type eventLog interface {
	Append(journal.Record) (seq uint64)
	Sync(context.Context) error
	Healthy() error
	Events(since uint64, machine string, limit int) []journal.Event
	Follow(context.Context) <-chan journal.Event
	History(ether.MAC) journal.MachineHistory
}

// forgetInJournal removes a machine that the loop does not know from the journal.
func forgetInJournal(log eventLog, spec machine.Spec, why string) {
	log.Append(journal.Record{Forgotten: spec.MAC, Event: journal.Event{
		Kind: journal.Forgotten, At: time.Now(), Machine: spec.Name, MAC: spec.MAC, Reason: why}})
}

// record writes the journal events of some actions. It does not wait for the disk. The last
// record carries the machine's memory.
func (e *entry) record(log eventLog, actions []machine.Action, known bool) {
	wake := e.LastWake()
	events := journal.EventsOf(actions, &wake)
	if len(events) == 0 {
		events = append(events, journal.Event{}) // only the memory
	}
	now := time.Now()
	for i, event := range events {
		if event.Kind != "" {
			event.At, event.Machine, event.MAC = now, e.name(), e.Spec().MAC
		}
		r := journal.Record{Event: event}
		if i == len(events)-1 {
			e.remember(&r, known)
		}
		log.Append(r)
	}
}

// remember adds to a record what a restart has to know of the machine.
func (e *entry) remember(r *journal.Record, known bool) {
	if !known || !e.managed() {
		r.Forgotten = e.Spec().MAC // it would have to register again
		return
	}
	mem := e.Memory()
	mem.NameConfigured = e.configured != nil && e.configured.Name == e.name()
	r.Memory = &mem
}
