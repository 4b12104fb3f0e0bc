package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

// reportLeftOut logs the invalid records and appends an event for each machine that has
// no valid record.
func (j *Journal) reportLeftOut(c *content) {
	for _, l := range c.leftOut {
		j.log.Warn("invalid journal record ignored", "event", "record_left_out", "file", j.folder.file(), "machine", l.name, "mac", l.mac, "err", l.why)
		if _, known := c.machines[l.mac]; known {
			continue // from another record
		}
		j.Append(Record{Event: Event{
			At: j.clock().wall, Kind: Forgotten, Machine: l.name, MAC: l.mac, Reason: "its journal record is invalid: " + l.why.Error(),
		}})
	}
}

// Open opens the journal in dir, which is made if it does not exist, and returns
// what it held. A file that is damaged, foreign or of another version is set
// aside; what can be read of it is in Past all the same. A directory that cannot
// be written to is no error here: see Healthy.
//
// It fails if dir cannot be created, if another process uses it, or if the file exists
// and cannot be read: overwriting it could lose data.
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
		log.Warn("cannot remove old files from the state directory", "event", "journal_tidy_failed", "err", err)
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
		log.Warn("other users can write to the state of nightporter", "event", "journal_exposed", "path", path, "try", "chmod go-w "+path)
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
		log.Warn("the journal is damaged: continuing with the readable part", "event", "journal_unfit", "file", d.file(), "why", c.fault,
			"set_aside", past.SetAside, "machines", len(c.machines), "events", len(c.events.ring))
	}
	j.begin(c, missing)
	if j.state.mark(false); j.state.written != j.state.changes {
		j.due = time.Now().Add(gather) // so that the next start knows when this run began
	}
	j.reportLeftOut(c)
	go j.run()
	return j, past, nil
}

// setAside keeps an unfit file, and returns where. While that fails it is to be
// tried again before the file is replaced.
func (j *Journal) setAside() string {
	name, err := j.folder.setAside(time.Now())
	if err != nil {
		j.log.Warn("cannot set the damaged journal aside", "event", "journal_aside_failed", "file", j.folder.file(), "err", err)
	}
	j.unfit = name == ""
	return name
}

// begin makes the file ready to be appended to.
func (j *Journal) begin(c *content, missing bool) {
	var err error
	if !missing && c.fault == nil && c.sound > 0 {
		if c.torn > 0 {
			j.log.Warn("the journal ends in an unfinished line: it is removed", "event", "journal_torn", "file", j.folder.file(), "bytes", c.torn)
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

func newState(c *content) state {
	s := state{machines: make(map[ether.MAC]*known, len(c.machines)), events: c.events, timelines: c.timelines, base: c.base}
	if s.timelines == nil {
		s.timelines = make(timelines)
	}
	for mac, m := range c.machines {
		s.machines[mac] = &known{memory: m}
	}
	s.first = 1 // so that no memory from the file is in the queue
	return s
}
