package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

// Past is what a journal held when it was opened. Its times, but for those of the
// events, are on the clock as it is now, and as long ago as they truly are, as far
// as that can be known.
type Past struct {
	Machines []machine.Memory // one for each MAC, in the order of the MACs
	Events   []Event          // the last 1,000 at most, in the order of Seq
	Seen     time.Time        // when the last record was written; zero if there is none
	Until    time.Time        // by when the earlier run had ended for sure, an hour later at most; zero likewise
	Crashed  bool             // there was an earlier run, which did not end in order
	SetAside string           // where a file that was unfit is now; empty if none was
}

// Record is one transition.
type Record struct {
	Event     Event           // what happened; nothing to be told if its Kind is empty
	Memory    *machine.Memory // of a machine after it, which is copied but for its slices; nil if nothing changed
	Forgotten ether.MAC       // the machine that is no longer known, if Memory is nil
}

// ErrClosed tells that the journal is closed.
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

// waiter wants to know when the changes up to that number are durable.
type waiter struct {
	changes uint64
	answer  chan error // capacity 1
}

// Open opens the journal in dir, which is made if it does not exist, and returns
// what it held. A file that is damaged, foreign or of another version is set
// aside; what can be read of it is in Past all the same. A directory that cannot
// be written to is no error here: see Healthy.
//
// It fails when dir cannot be made or is in use by another process, and when the
// file is there and cannot be read, for then nobody knows what would be lost.
func Open(dir string, log *slog.Logger) (*Journal, Past, error) {
	d, err := openFolder(dir, log)
	if err != nil {
		return nil, Past{}, err
	}
	j, past, err := open(d, d, minLimit, hostClock(), log)
	if err != nil {
		return nil, Past{}, errors.Join(err, d.close())
	}
	return j, past, nil
}

// open is Open with a disk of the caller's choice below the writer, and a file
// that may be limit bytes long however little of it still counts.
func open(d *folder, below disk, limit int64, now clock, log *slog.Logger) (*Journal, Past, error) {
	if err := d.sweep(); err != nil {
		log.Warn("cannot tidy the state directory", "event", "journal_tidy_failed", "err", err)
	}
	c, err := d.read()
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return nil, Past{}, fmt.Errorf("read the journal: %w", err)
	}
	if missing {
		c = &content{}
	}
	for _, path := range d.exposed(c.mode) {
		log.Warn("others than nightporter's user can write to its state", "event", "journal_exposed", "path", path, "try", "chmod go-w "+path)
	}
	c.onClock(now())
	j := &Journal{
		log: log, folder: d, clock: now, state: newState(c), seq: c.events.last(), stored: time.Now(),
		wake: make(chan struct{}, 1), done: make(chan struct{}),
		writer: writer{disk: below, least: limit, limit: limit, most: d.most},
	}
	past := Past{Events: c.events.newest(0, "", 0), Seen: c.seen, Until: c.until, Crashed: c.crashed()}
	for _, mac := range j.state.macs() {
		past.Machines = append(past.Machines, c.machines[mac])
	}
	if c.fault != nil {
		past.SetAside = j.setAside()
		log.Warn("the journal is unfit: going on with what could be read of it", "event", "journal_unfit", "file", d.file(), "why", c.fault,
			"set_aside", past.SetAside, "machines", len(c.machines), "events", len(c.events.ring))
	}
	j.begin(c, missing)
	if j.state.mark(false); j.state.written != j.state.changes {
		j.due = time.Now().Add(gather) // so that the next start knows from when on we were there
	}
	j.tellLeftOut(c)
	go j.run()
	return j, past, nil
}

// setAside keeps an unfit file, and returns where. While that fails it is to be
// tried again before the file is replaced.
func (j *Journal) setAside() string {
	name, err := j.folder.setAside(time.Now())
	if err != nil {
		j.log.Warn("cannot set an unfit journal aside", "event", "journal_aside_failed", "file", j.folder.file(), "err", err)
	}
	j.unfit = name == ""
	return name
}

// begin makes the file ready to be appended to.
func (j *Journal) begin(c *content, missing bool) {
	var err error
	if !missing && c.fault == nil && c.sound > 0 {
		if c.torn > 0 {
			j.log.Warn("the journal ends in an unfinished line, which is cut off", "event", "journal_torn", "file", j.folder.file(), "bytes", c.torn)
		}
		if err = j.writer.resume(c.sound, c.torn > 0); err == nil {
			return
		}
		j.failed(err)
	}
	j.state.changes++
	j.state.rewriteAll()
	j.flush()
}

// Append takes in what happened, gives its event the next Seq, and returns that.
// It waits for no disk, and nothing of what it takes in is lost while the process
// lives: see Sync.
func (j *Journal) Append(r Record) uint64 {
	r.Event.bound()
	now := time.Now()
	j.mu.Lock()
	defer j.mu.Unlock()
	if r.Event.Kind != "" {
		j.seq++
		r.Event.Seq = j.seq
		j.followers.tell(r.Event)
	}
	j.state.add(&r, now)
	wait := gather
	if r.Memory == nil && r.Forgotten == (ether.MAC{}) && r.Event.Kind != Started { // which tells of a crash soon after it
		wait = patience
	}
	if j.closing {
		j.state.mark(true) // the word of the end stays the last
	}
	j.dueBy(now.Add(wait))
	return r.Event.Seq
}

// dueBy has the writer write by then at the latest. The caller holds j.mu.
func (j *Journal) dueBy(t time.Time) {
	if j.due.IsZero() || t.Before(j.due) {
		j.due = t
		j.rouse()
	}
}

func (j *Journal) rouse() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// Sync returns nil when everything that was appended before is durable, or why
// it is not. What could not be written stays queued, whatever the error.
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

// Health says whether what has to survive a crash can be written, as the API shows
// it. While it cannot, registrations are refused, and all else goes on.
type Health struct {
	Healthy bool   `json:"healthy"`
	Reason  string `json:"reason"` // why it cannot be written
}

// Healthy returns nil if what is appended gets written, or why it does not.
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
// Who wants what came before as well follows first, then reads Events, and
// skips what it has already seen.
func (j *Journal) Follow(ctx context.Context) <-chan Event { return j.followers.follow(ctx) }

// closePatience is how long Close waits for a disk that does not answer.
const closePatience = 5 * time.Second

// Close writes what is left, for 5 s at most, and lets others open the journal.
// The error says why something is not written.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closing {
		j.mu.Unlock()
		return ErrClosed
	}
	j.closing = true
	j.state.mark(true)
	j.rouse()
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
