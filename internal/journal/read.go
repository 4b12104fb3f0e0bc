package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

const (
	// maxLine bounds a line that is read, in bytes. The bounds of a record (formOf,
	// Event.bound) keep those that are written far below it.
	maxLine = 1 << 20

	// maxRead bounds a file that is read, in bytes. The writer keeps to it.
	maxRead = 256 << 20
)

// content is what a file was found to hold.
type content struct {
	machines  map[ether.MAC]machine.Memory
	events    history
	timelines timelines             // since the first record; once it is onClock, since base
	base      time.Time             // when it was put onClock
	writings  map[ether.MAC]writing // of the machines
	leftOut   []leftOut             // records of machines that were not believed
	last      *stamp                // of the last record; nil if there is none
	elapsed   time.Duration         // from the first record to the last, or once it is onClock to base
	ended     bool                  // the last record tells that the run ended in order
	seen      time.Time             // when the last record was written, once it is onClock
	until     time.Time             // likewise: when the run had ended at the latest
	mode      fs.FileMode           // of the file; 0 if it was not read
	sound     int64                 // length of the part without any fault, in bytes
	torn      int64                 // length of the unfinished line after it
	fault     error                 // why the file cannot be gone on with; nil if it can
}

// crashed reports whether the earlier run did not end in order. One of an older porter that
// knew no machine left no word of its end.
func (c *content) crashed() bool {
	started := func(e Event) bool { return e.Kind == Started }
	return c.last != nil && !c.ended && (len(c.machines) > 0 || slices.ContainsFunc(c.events.ring, started))
}

func (c *content) fail(line int, err error) {
	if c.fault == nil {
		c.fault = fmt.Errorf("line %d: %w", line, err)
	}
}

// read reads a file. It always returns what can be had from it: each line stands
// for itself, so one that is damaged takes nothing away from the others.
//
// Only the end of the file may be unfinished. A write that a power cut came into
// was never acknowledged, so nothing is lost by cutting it off.
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
				return c // the lines may not mean what they say
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

// take puts what a line tells in its place.
func (c *content) take(line []byte) error {
	raw, err := recordIn(line)
	if err != nil {
		return err
	}
	var r record
	if err := json.Unmarshal(raw, &r); err != nil {
		return fmt.Errorf("a record that cannot be understood: %w", err)
	}
	at := stamp{wall: r.At.Time, boot: r.Boot, up: min(max(0, time.Duration(r.Up)), century)}
	if c.last != nil {
		c.pass(between(*c.last, at))
	}
	c.last, c.ended = &at, r.End
	if r.Machine != nil {
		m, err := r.Machine.memory()
		if err != nil {
			if len(c.leftOut) < mostTold {
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
	// A history in disorder could not be followed.
	if r.Event != nil && r.Event.Kind != "" && r.Event.Seq > c.events.last() {
		r.Event.bound()
		c.events.add(*r.Event)
	}
	return nil
}

// remember takes in the memory of a machine, and its timeline if the record has one.
func (c *content) remember(m *machine.Memory, f *timelineForm, w writing) {
	mac := m.Spec.MAC
	c.machines[mac], c.writings[mac] = *m, w
	if f != nil {
		c.timelines[mac] = f.timeline(w)
	}
	c.timelines.of(mac).take(m, w.after, func(t time.Time) time.Duration { return w.age(t, w.at.boot == "") })
}
