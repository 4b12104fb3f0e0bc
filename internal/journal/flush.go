package journal

import (
	"errors"
	"fmt"
	"time"
)

// run writes what is due until the journal is closed.
func (j *Journal) run() {
	defer close(j.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		due, closing := j.next()
		if closing {
			j.flush()
			j.giveUp()
			return
		}
		var expired <-chan time.Time
		if !due.IsZero() {
			wait := time.Until(due)
			if wait <= 0 {
				j.flush()
				continue
			}
			timer.Reset(wait)
			expired = timer.C
		}
		select {
		case <-expired:
		case <-j.wake:
		}
	}
}

func (j *Journal) next() (due time.Time, closing bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if due = j.due; due.IsZero() && len(j.state.machines) > 0 {
		due = j.stored.Add(markEvery)
	}
	return due, j.closing
}

// flush writes the queue.
func (j *Journal) flush() {
	j.mu.Lock()
	j.due = time.Time{}
	if j.state.written == j.state.changes && time.Since(j.stored) >= markEvery {
		j.state.mark(false)
	}
	if j.state.written == j.state.changes {
		j.mu.Unlock()
		return
	}
	b := j.state.pending()
	j.mu.Unlock()
	stored, err := j.store(b)
	if err != nil {
		j.failed(err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		j.dueBy(time.Now().Add(retry))
	} else {
		j.state.stored(stored)
		j.stored = time.Now()
		if j.err != nil {
			j.err = nil
			j.log.Info("the journal is written again", "event", "journal_back", "file", j.folder.file())
		}
	}
	j.answer(stored.changes, err)
}

// answer sends err to the waiters for these changes. Later waiters have made the next
// write due. The caller holds j.mu.
func (j *Journal) answer(changes uint64, err error) {
	var left []waiter
	for _, w := range j.waiters {
		if w.changes <= changes {
			w.answer <- err
		} else {
			left = append(left, w)
		}
	}
	j.waiters = left
}

// giveUp answers the remaining waiters with ErrClosed.
func (j *Journal) giveUp() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, w := range j.waiters {
		w.answer <- ErrClosed
	}
	j.waiters = nil
}

// failed records an error of a write, and logs the first one.
func (j *Journal) failed(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		j.log.Error("cannot write the journal, a restart would lose data: retrying", "event", "journal_failed", "file", j.folder.file(), "err", err)
	}
	j.err = err
}

// store writes b to the file, or rewrites the file if b does not fit or cannot be
// appended. It returns the batch that it wrote or tried to write.
func (j *Journal) store(b *batch) (*batch, error) {
	w := &j.writer
	var lines []byte
	var err error
	tried := false
	if w.file != nil && !b.whole {
		if lines, err = encode(b, j.clock(), nil); err != nil {
			return b, err
		}
		if tried = w.size+int64(len(lines)) <= w.limit; tried {
			if err = w.append(lines); err == nil {
				return b, nil
			}
		}
	}
	all, rewriteErr := j.rewrite(b)
	switch {
	case rewriteErr == nil:
		return all, nil
	case w.file != nil && !b.whole && !tried && w.size+int64(len(lines)) <= w.most:
		// A file over the limit is better than a lost record, while it can be read.
		w.limit = min(w.size+int64(len(lines))+w.least, w.most)
		return b, w.append(lines)
	}
	return all, errors.Join(err, rewriteErr)
}

// rewrite writes the whole state to a new file. B is the batch that was due.
func (j *Journal) rewrite(b *batch) (*batch, error) {
	if !b.whole {
		j.mu.Lock()
		b = j.state.everything()
		j.mu.Unlock()
	}
	content, err := encode(b, j.clock(), headerLine())
	if err == nil {
		err = j.replace(content)
	}
	if err != nil {
		j.mu.Lock()
		j.state.lost(b)
		j.mu.Unlock()
	}
	return b, err
}

// replace puts a new file in the place of the present one, which is kept if it
// is unfit: that may not have been possible before.
func (j *Journal) replace(content []byte) error {
	if j.unfit {
		name, err := j.folder.setAside(time.Now())
		if name == "" {
			return fmt.Errorf("set the damaged journal aside: %w", err)
		}
		j.unfit = false
		j.log.Info("the damaged journal is set aside", "event", "journal_aside", "set_aside", name)
	}
	return j.writer.replace(content)
}

func encode(b *batch, now stamp, buf []byte) ([]byte, error) {
	for i := range b.lines {
		l := &b.lines[i]
		r := record{At: moment{now.wall}, Boot: now.boot, Up: span(now.up), Forgotten: l.forgotten, End: l.carries == theEnd}
		if l.event.Kind != "" {
			r.Event = &l.event
		}
		if l.carries == newestMemory {
			r.Machine, r.Timeline = formOf(&l.memory, now.wall), timelineFormOf(l.timeline, now.wall.Sub(b.base), now.wall)
		}
		var err error
		if buf, err = appendLine(buf, &r); err != nil {
			return nil, err
		}
	}
	return buf, nil
}
