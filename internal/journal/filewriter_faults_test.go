package journal

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// TestFailures: a disk that fails in one way or another loses nothing, is
// logged once, and is good again when it works again.
func TestFailures(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*trouble)
	}{
		{"write", func(d *trouble) { d.writeErr = errDisk }},
		{"half a write", func(d *trouble) { d.writeErr, d.half = errDisk, true }},
		{"half a write without a word", func(d *trouble) { d.half = true }},
		{"half a write that cannot be taken back", func(d *trouble) { d.half, d.cutErr = true, errDisk }},
		{"sync", func(d *trouble) { d.syncErr = errDisk }},
		{"sync of the directory", func(d *trouble) { d.writeErr, d.replaceErr = errDisk, errUnlinked }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			var d trouble
			j, l := openedOn(t, dir, minLimit, &d)
			j.Append(Record{Memory: memoryOf(1)})
			synced(t, j)
			d.set(func(d *trouble) { d.replaceErr = errDisk; c.spoil(d) })
			for i := range 5 {
				j.Append(Record{Memory: memoryOf(2 + i)})
				if err := trySync(t, j); err == nil {
					t.Fatal("acknowledged what is not durable")
				}
			}
			if err := j.Healthy(); err == nil {
				t.Error("healthy, though nothing can be written")
			}
			if n := onDisk(t, dir); n < 1 {
				t.Error("what was durable is lost")
			}
			d.set(func(d *trouble) { d.faults = faults{} })
			synced(t, j)
			if err := j.Healthy(); err != nil {
				t.Error("not healthy again:", err)
			}
			if n := onDisk(t, dir); n != 6 {
				t.Errorf("%d machines are durable, want 6", n)
			}
			j.Append(Record{Memory: memoryOf(7)})
			closed(t, j)
			if n := onDisk(t, dir); n != 7 {
				t.Errorf("%d machines at the end, want 7", n)
			}
			if told := l.lines("level="); len(told) != 2 || !strings.Contains(told[0], "cannot write") || !strings.Contains(told[1], "again") {
				t.Errorf("log %q, want that it failed and that it works again", told)
			}
		})
	}
}

// What cannot be appended may still be written in another place.
func TestReplacedAfterFailure(t *testing.T) {
	dir := t.TempDir()
	var d trouble
	j, l := openedOn(t, dir, minLimit, &d)
	d.set(func(d *trouble) { d.syncErr = errDisk })
	j.Append(Record{Memory: memoryOf(1)})
	synced(t, j)
	if len(l.lines("level=")) > 0 || onDisk(t, dir) != 1 {
		t.Errorf("log %q, %d machines", l.lines(""), onDisk(t, dir))
	}
	// The file whose sync failed is not used any more: the kernel tells such an
	// error once only.
	d.set(func(d *trouble) { d.syncErr = nil; d.syncs, d.replaces = 0, 0 })
	j.Append(Record{Memory: memoryOf(2)})
	synced(t, j)
	if got := d.counts(); got.syncs != 1 || got.replaces != 0 {
		t.Errorf("then %d syncs, %d new files; want 1 and 0", got.syncs, got.replaces)
	}
}

// TestNotTrusted: after a failed sync the same file may look good again, and is
// not used for that.
func TestNotTrusted(t *testing.T) {
	dir := t.TempDir()
	var d trouble
	j, _ := openedOn(t, dir, minLimit, &d)
	d.set(func(d *trouble) { d.syncErr, d.replaceErr = errDisk, errDisk })
	j.Append(Record{Memory: memoryOf(1)})
	for range 2 {
		if trySync(t, j) == nil {
			t.Fatal("acknowledged what may not be durable")
		}
		d.set(func(d *trouble) { d.syncErr = nil })
	}
	d.set(func(d *trouble) { d.replaceErr = nil })
	synced(t, j)
	if onDisk(t, dir) != 1 {
		t.Errorf("%d machines, want 1", onDisk(t, dir))
	}
}

// A file may get too long when there is no room for a shorter one beside it.
func TestTooLong(t *testing.T) {
	dir := t.TempDir()
	var d trouble
	j, l := openedOn(t, dir, 4096, &d)
	d.set(func(d *trouble) { d.replaceErr, d.replaces = errDisk, 0 })
	for i := range 30 {
		j.Append(Record{Memory: memoryOf(i)})
		synced(t, j)
	}
	if len(l.lines("level=")) > 0 || onDisk(t, dir) != 30 {
		t.Errorf("log %q, %d machines", l.lines(""), onDisk(t, dir))
	}
	if n := d.counts().replaces; n > 10 {
		t.Errorf("a new file was tried %d times in 30 writes", n)
	}
}

// The queue is bounded even when nothing can be written for long.
func TestLongFailure(t *testing.T) {
	dir := t.TempDir()
	var d trouble
	j, _ := openedOn(t, dir, minLimit, &d)
	d.set(func(d *trouble) { d.writeErr, d.replaceErr = errDisk, errDisk })
	const n = 3 * maxQueue
	for i := range n {
		j.Append(Record{Event: Event{Kind: Knock}, Memory: memoryOf(i % 300)})
		if i%(maxQueue/2) == 0 && trySync(t, j) == nil {
			t.Fatal("acknowledged")
		}
	}
	j.mu.Lock()
	waiting := len(j.state.queue)
	j.mu.Unlock()
	if waiting > maxQueue {
		t.Errorf("%d transitions wait, want at most %d", waiting, maxQueue)
	}
	d.set(func(d *trouble) { d.writeErr, d.replaceErr = nil, nil })
	synced(t, j)
	if c := read(strings.NewReader(string(contentOf(t, dir)))); len(c.machines) != 300 || c.events.last() != n {
		t.Errorf("%d machines, last event %d; want 300 and %d", len(c.machines), c.events.last(), n)
	}
}

// TestPace: what happens together is one write, what changes no machine waits for
// more, and after a failure the next write comes by itself.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d trouble
		j, l := openedOn(t, t.TempDir(), minLimit, &d)
		defer closed(t, j)
		step := func(wait time.Duration, want int) {
			t.Helper()
			time.Sleep(wait)
			synctest.Wait()
			if got := d.counts().writes; got != want {
				t.Fatalf("%d writes, want %d", got, want)
			}
		}
		for i := range 50 {
			j.Append(Record{Event: Event{Kind: Magic}, Memory: memoryOf(i % 2)})
		}
		step(gather/2, 0)
		step(gather, 1)
		step(markEvery/2, 1)
		j.Append(Record{Event: Event{Kind: Refused}})
		step(eventDelay/2, 1)
		j.Append(Record{Event: Event{Kind: Refused}})
		step(eventDelay, 2)
		j.Append(Record{Event: Event{Kind: Refused}})
		j.Append(Record{Forgotten: macOf(1)})
		step(2*gather, 3)
		step(markEvery-2*gather, 3)
		step(2*gather, 4) // a machine sleeps on
		step(markEvery, 5)

		d.set(func(d *trouble) { d.writeErr, d.replaceErr = errDisk, errDisk })
		j.Append(Record{Memory: memoryOf(1)})
		step(2*gather, 6)
		if err := j.Healthy(); !errors.Is(err, errDisk) {
			t.Fatalf("health: %v", err)
		}
		step(retry, 7)
		step(retry, 8)
		d.set(func(d *trouble) { d.writeErr, d.replaceErr = nil, nil })
		step(retry, 9)
		step(markEvery/2, 9)
		if err := j.Healthy(); err != nil || len(l.lines("again")) != 1 {
			t.Errorf("health: %v, log %q", err, l.lines(""))
		}
	})
}

// A disk that hangs holds up neither Append nor, for ever, Sync.
func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d trouble
		dir := t.TempDir()
		j, _ := openedOn(t, dir, minLimit, &d)
		hang := make(chan struct{})
		j.writer.file = &hanging{j.writer.file, hang}
		j.Append(Record{Memory: memoryOf(1)})
		time.Sleep(time.Second)
		for range 100 {
			j.Append(Record{Memory: memoryOf(2)})
		}
		if err := syncFor(t, j, time.Second); err == nil {
			t.Error("acknowledged what hangs")
		}
		start := time.Now()
		if err := j.Close(); err == nil || time.Since(start) != closePatience {
			t.Errorf("close: %v after %v, want an error after %v", err, time.Since(start), closePatience)
		}
		close(hang)
		<-j.done
		if onDisk(t, dir) != 2 {
			t.Errorf("%d machines in the end, want 2", onDisk(t, dir))
		}
	})
}

// A write that began before a record was appended says nothing of that record.
func TestAnsweredByItsOwnWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d trouble
		j, _ := openedOn(t, t.TempDir(), minLimit, &d)
		hang := make(chan struct{})
		j.writer.file = &hanging{j.writer.file, hang}
		j.Append(Record{Memory: memoryOf(1)})
		time.Sleep(time.Second)
		j.Append(Record{Memory: memoryOf(2)})
		answered := make(chan error, 1)
		go func() { answered <- trySync(t, j) }()
		synctest.Wait()
		hang <- struct{}{}
		synctest.Wait()
		select {
		case err := <-answered:
			t.Fatalf("answered %v before it was written", err)
		default:
		}
		close(hang)
		if err := <-answered; err != nil {
			t.Error(err)
		}
	})
}

// hanging is a file whose writes each wait for a word.
type hanging struct {
	file
	until chan struct{}
}

func (f *hanging) Write(p []byte) (int, error) {
	<-f.until
	return f.file.Write(p)
}

func TestNotWritable(t *testing.T) {
	// The errors of a card that the kernel has made read-only.
	dir := t.TempDir()
	put(t, dir, written(t, 3))
	d := trouble{faults: faults{openErr: unix.EROFS, replaceErr: unix.EROFS}}
	j, l := openedOn(t, dir, minLimit, &d)
	if err := j.Healthy(); !errors.Is(err, unix.EROFS) {
		t.Errorf("health: %v", err)
	}
	if err := trySync(t, j); !errors.Is(err, unix.EROFS) {
		t.Errorf("sync: %v", err)
	}
	if len(l.lines("cannot write")) != 1 {
		t.Errorf("log %q", l.lines(""))
	}
	d.set(func(d *trouble) { d.openErr, d.replaceErr = nil, nil })
	synced(t, j)
	if onDisk(t, dir) != 3 {
		t.Errorf("%d machines, want 3", onDisk(t, dir))
	}
}
