package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

// content is the content of a file.
type content struct {
	machines  map[ether.MAC]machine.Memory
	events    history
	timelines timelines             // since the first record; once it is onClock, since base
	base      time.Time             // when it was put onClock
	writings  map[ether.MAC]writing // of the machines
	leftOut   []leftOut             // invalid records of machines
	last      *stamp                // of the last record; nil if there is none
	elapsed   time.Duration         // from the first record to the last, or once it is onClock to base
	ended     bool                  // the last record is that of a normal end
	seen      time.Time             // when the last record was written, once it is onClock
	until     time.Time             // likewise: when the run had ended at the latest
	mode      fs.FileMode           // of the file; 0 if it was not read
	sound     int64                 // length of the part without any fault, in bytes
	torn      int64                 // length of the unfinished line after it
	fault     error                 // why the file cannot be gone on with; nil if it can
}

// crashed reports whether the earlier run did not end normally. An older porter without
// machines wrote no mark of its end.
func (c *content) crashed() bool {
	started := func(e Event) bool { return e.Kind == Started }
	return c.last != nil && !c.ended && (len(c.machines) > 0 || slices.ContainsFunc(c.events.ring, started))
}

func (c *content) fail(line int, err error) {
	if c.fault == nil {
		c.fault = fmt.Errorf("line %d: %w", line, err)
	}
}

// read reads a file. It returns all readable records: each line is independent, so a
// damaged line does not affect others.
//
// Only the last line may be unfinished. An interrupted write was never acknowledged, so
// removing the line loses nothing.
func read(r io.Reader) *content {
	c := &content{machines: make(map[ether.MAC]machine.Memory), timelines: make(timelines), writings: make(map[ether.MAC]writing)}
	in := bufio.NewReaderSize(r, 1<<16)
	for n := 1; ; n++ {
		line, err := readLine(in)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				c.fail(n, err)
			}
			return c
		}
		body, whole := bytes.CutSuffix(line, []byte("\n"))
		if !whole && (n > 1 || bytes.HasPrefix(headerLine(), line)) {
			c.torn = int64(len(line))
			return c
		}
		if n == 1 {
			err = checkHeader(body)
		} else {
			err = c.take(body)
		}
		if err != nil {
			c.fail(n, err)
			if errors.Is(err, errVersion) {
				return c // the lines may have another meaning
			}
		}
		if c.fault == nil {
			c.sound += int64(len(line))
		}
	}
}

// readLine returns the next line with its end, or what there is of one at the
// end of the input. The result holds until the next call.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		line = bytes.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) && len(line) <= maxLine {
			var more []byte
			more, err = in.ReadSlice('\n')
			line = append(line, more...)
		}
	}
	switch {
	case len(line) > maxLine:
		return nil, fmt.Errorf("longer than %d bytes", maxLine)
	case errors.Is(err, io.EOF) && len(line) > 0:
		return line, nil
	}
	return line, err
}

var errVersion = errors.New("of another version")

func checkHeader(line []byte) error {
	var h header
	if err := json.Unmarshal(line, &h); err != nil || h.Version == nil {
		return errors.New("not the header of a journal")
	}
	if *h.Version != formatVersion {
		return fmt.Errorf("a journal %w: found %d, expected %d", errVersion, *h.Version, formatVersion)
	}
	return nil
}

// take adds the record of a line.
func (c *content) take(line []byte) error {
	raw, err := recordIn(line)
	if err != nil {
		return err
	}
	var r record
	if err := json.Unmarshal(raw, &r); err != nil {
		return fmt.Errorf("cannot parse the record: %w", err)
	}
	at := stamp{wall: r.At.Time, boot: r.Boot, up: min(max(0, time.Duration(r.Up)), century)}
	if c.last != nil {
		c.pass(between(*c.last, at))
	}
	c.last, c.ended = &at, r.End
	if r.Machine != nil {
		m, err := r.Machine.memory()
		if err != nil {
			if len(c.leftOut) < maxLeftOut {
				c.leftOut = append(c.leftOut, leftOut{mac: r.Machine.MAC, name: machine.CleanName(r.Machine.Name, r.Machine.MAC), why: err})
			}
			return fmt.Errorf("machine %q: %w", bounded(r.Machine.Name), err)
		}
		c.remember(&m, r.Timeline, writing{at: at, after: c.elapsed})
	}
	if r.Forgotten != (ether.MAC{}) {
		delete(c.machines, r.Forgotten)
		c.timelines.forget(r.Forgotten, r.Event)
	}
	// Seq must increase, or clients could not follow the events.
	if r.Event != nil && r.Event.Kind != "" && r.Event.Seq > c.events.last() {
		r.Event.bound()
		c.events.add(*r.Event)
	}
	return nil
}

// remember stores the memory of a machine, and its timeline if the record has one.
func (c *content) remember(m *machine.Memory, f *timelineForm, w writing) {
	mac := m.Spec.MAC
	c.machines[mac], c.writings[mac] = *m, w
	if f != nil {
		c.timelines[mac] = f.timeline(w)
	}
	c.timelines.of(mac).take(m, w.after, func(t time.Time) time.Duration { return w.age(t, w.at.boot == "") })
}

// onClock converts the times of machines to the present clock, so that their ages are
// right and stay right when the wall clock is set later. Each record may have been
// written with another setting of the clock.
func (c *content) onClock(now stamp) {
	c.base = now.wall
	if c.last == nil {
		return
	}
	gap := between(*c.last, now)
	c.seen = now.wall.Add(-gap)
	c.until = now.wall.Add(-c.away(gap))
	c.pass(gap)
	for _, t := range c.timelines {
		t.shift(c.elapsed)
		if n := len(t.wakes); n > 0 && t.wakes[n-1].outcome == machine.UnderWay {
			t.settle(machine.Over)
		}
	}
	for mac, m := range c.machines {
		w := c.writings[mac]
		then := now.wall.Add(-(c.elapsed - w.after))
		m.Since = w.moved(m.Since, then, w.at.boot == "")
		m.LastWake.At = w.moved(m.LastWake.At, then, false)
		m.Registered = w.moved(m.Registered, then, false)
		m.Heard = w.moved(m.Heard, then, false)
		m.Counted = w.moved(m.Counted, then, false)
		m.Paused = w.ahead(m.Paused, then)
		c.machines[mac] = m
	}
}

// away returns for how much of gap, the time since the last record, the porter did not
// run. A killed run ended at most markEvery after its last record.
func (c *content) away(gap time.Duration) time.Duration {
	if c.ended {
		return gap
	}
	return max(0, gap-markEvery)
}

// pass adds the time since the last record.
func (c *content) pass(gap time.Duration) {
	away := c.away(gap)
	c.elapsed = min(c.elapsed+gap, century)
	c.timelines.absent(c.elapsed-away, c.elapsed)
}

// read reads the present file. An error is of the file system; what is wrong with
// the file itself is in the content.
func (d *folder) read() (*content, error) {
	// Without O_NONBLOCK the open blocks on a FIFO of that name.
	f, err := d.openFile(os.O_RDONLY | unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	switch {
	case !info.Mode().IsRegular():
		return &content{fault: fmt.Errorf("not a regular file: mode %v", info.Mode())}, nil
	case info.Size() > d.most:
		return &content{fault: fmt.Errorf("%d bytes long, expected at most %d", info.Size(), d.most)}, nil
	}
	c := read(f)
	c.mode = info.Mode()
	return c, nil
}

// leftOut is an invalid record of a machine.
type leftOut struct {
	mac  ether.MAC
	name string
	why  error
}

// maxLeftOut is how many invalid records are logged one by one.
const maxLeftOut = 16
