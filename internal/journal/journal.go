package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

// Record is one transition.
type Record struct {
	Event     Event           // no event if its Kind is empty
	Memory    *machine.Memory // of a machine after it, which is copied but for its slices; nil if nothing changed
	Forgotten ether.MAC       // the machine that is no longer known, if Memory is nil
}

// ErrClosed means that the journal is closed.
var ErrClosed = errors.New("the journal is closed")

// Journal is an open journal. It is safe for concurrent use.
type Journal struct {
	log       *slog.Logger
	folder    *folder
	writer    writer
	clock     clock
	unfit     bool // the present file is one that has to be set aside
	followers followers

	wake chan struct{} // capacity 1: due or closing has changed
	done chan struct{} // closed when nothing will be written any more

	mu      sync.Mutex
	state   state
	seq     uint64 // of the last event
	due     time.Time
	stored  time.Time // when the last write succeeded
	waiters []waiter
	err     error // why the last write failed
	closing bool
}

// waiter waits until the changes up to a number are durable.
type waiter struct {
	changes uint64
	answer  chan error // capacity 1
}

// Append adds a record, sets the Seq of its event, and returns that. It does not wait
// for the disk. The record stays queued until it is written: see Sync.
func (j *Journal) Append(r Record) uint64 {
	r.Event.bound()
	now := time.Now()
	j.mu.Lock()
	defer j.mu.Unlock()
	if r.Event.Kind != "" {
		j.seq++
		r.Event.Seq = j.seq
		j.followers.send(r.Event)
	}
	j.state.add(&r, now)
	wait := gather
	if r.Memory == nil && r.Forgotten == (ether.MAC{}) && r.Event.Kind != Started { // written soon, so that a crash after it is detected
		wait = eventDelay
	}
	if j.closing {
		j.state.mark(true) // the mark of the end stays the last record
	}
	j.dueBy(now.Add(wait))
	return r.Event.Seq
}

// dueBy sets the latest time of the next write. The caller holds j.mu.
func (j *Journal) dueBy(t time.Time) {
	if j.due.IsZero() || t.Before(j.due) {
		j.due = t
		j.wakeWriter()
	}
}

func (j *Journal) wakeWriter() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// Sync waits until all records appended before are durable, or returns the error of
// the write. Records that could not be written stay queued.
func (j *Journal) Sync(ctx context.Context) error {
	j.mu.Lock()
	if j.state.written == j.state.changes {
		j.mu.Unlock()
		return nil
	}
	if j.closing {
		j.mu.Unlock()
		return ErrClosed
	}
	w := waiter{changes: j.state.changes, answer: make(chan error, 1)}
	j.waiters = append(j.waiters, w)
	j.dueBy(time.Now())
	j.mu.Unlock()
	select {
	case err := <-w.answer:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait for the journal: %w", context.Cause(ctx))
	}
}

// Health is whether the journal can be written, as the API shows it. While it cannot,
// registrations are refused.
type Health struct {
	Healthy bool   `json:"healthy"`
	Reason  string `json:"reason"` // why it cannot be written; empty if healthy
}

// Healthy returns nil, or the error of the last write.
func (j *Journal) Healthy() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// Events returns events that are not forgotten yet, oldest first: those with a
// Seq above since, of the machine of that name unless it is empty, and only the
// newest of them if limit is above 0 and there are more.
func (j *Journal) Events(since uint64, machine string, limit int) []Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.state.events.newest(since, machine, limit)
}

// Follow returns a channel that gets every event from now on. A reader that falls
// behind by more than 64 events misses some, as the gap in their Seq tells.
// The channel is closed when ctx ends or the journal is closed.
//
// To get older events too, call Follow first, then Events, and skip the duplicates.
func (j *Journal) Follow(ctx context.Context) <-chan Event { return j.followers.follow(ctx) }

// closePatience is how long Close waits for a disk that does not answer.
const closePatience = 5 * time.Second

// Close writes the queued records, for at most 5 s, and unlocks the directory. It
// returns an error if records were not written.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closing {
		j.mu.Unlock()
		return ErrClosed
	}
	j.closing = true
	j.state.mark(true)
	j.wakeWriter()
	j.mu.Unlock()
	j.followers.close()
	select {
	case <-j.done:
	case <-time.After(closePatience):
		// The lock stays with the writer: it may still write.
		return fmt.Errorf("close the journal: the disk has not answered for %v", closePatience)
	}
	err := j.writer.close()
	j.mu.Lock()
	if j.state.written != j.state.changes {
		err = errors.Join(j.err, err)
	}
	j.mu.Unlock()
	return errors.Join(err, j.folder.close())
}
