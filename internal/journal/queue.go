package journal

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

// maxQueue is how many transitions may wait to be written. If there are more, the whole
// state is written instead.
const maxQueue = 2048

// carries is the part of a machine's state that a transition writes.
type carries uint8

const (
	nothing      carries = iota
	newestMemory         // the newest memory at the time of the write
	removal              // the machine was removed
	presence             // no machine: the porter still runs
	theEnd               // no machine: the run ends normally
)

// transition is one that has not been written.
type transition struct {
	event    Event // none if its Kind is empty
	mac      ether.MAC
	carries  carries
	timeline bool // write the timeline too: superseded memories had parts of it
	news     news // in the memory, and in those that it takes the place of
}

// known is the newest memory of a machine.
type known struct {
	memory machine.Memory
	at     uint64 // the transition that carries it, or did: its number
}

// state is the content of the journal, and the queue of what is not written yet.
type state struct {
	machines  map[ether.MAC]*known
	events    history
	timelines timelines
	base      time.Time // their times are since then

	queue []transition
	first uint64 // number of queue[0]; numbers count up for ever
	whole bool   // the queue overflowed: the whole state has to be written
	ended bool   // the run ends normally

	// changes counts what was appended; written is its value at the last write.
	changes, written uint64
}

// add adds a record of now, whose event is complete.
func (s *state) add(r *Record, now time.Time) {
	t := transition{event: r.Event}
	if r.Event.Kind != "" {
		s.events.add(r.Event)
	}
	number := s.first + uint64(len(s.queue))
	switch {
	case r.Memory != nil:
		t.mac, t.carries = r.Memory.Spec.MAC, newestMemory
		k := s.machines[t.mac]
		if k == nil {
			k = &known{}
			s.machines[t.mac] = k
		}
		t.news = s.timelines.of(t.mac).take(r.Memory, now.Sub(s.base), func(then time.Time) time.Duration { return max(0, now.Sub(then)) })
		if old := s.supersede(k); old != nil {
			t.inherit(old, r.Memory)
		}
		k.memory, k.at = *r.Memory, number
	case r.Forgotten != ether.MAC{}:
		t.mac, t.carries = r.Forgotten, removal
		if k := s.machines[t.mac]; k != nil {
			s.supersede(k)
			delete(s.machines, t.mac)
		}
		s.timelines.forget(t.mac, &r.Event)
	}
	s.push(t)
}

// inherit takes over the news of an older transition, whose memory is not written
// because m replaces it. If a wake or the beginning of a long phase would be lost, the
// timeline is written too.
func (t *transition) inherit(old *transition, m *machine.Memory) {
	n := old.news
	t.timeline = old.timeline || !n.phase.IsZero() && m.Since.Sub(n.phase) >= briefest || !n.wake.IsZero() && !n.wake.Equal(m.LastWake.At)
	t.news = news{phase: cmp.Or(n.phase, t.news.phase), wake: cmp.Or(n.wake, t.news.wake)}
}

// push queues a transition.
func (s *state) push(t transition) {
	s.changes++
	if s.whole {
		s.first++
		return
	}
	s.queue = append(s.queue, t)
	if len(s.queue) > maxQueue {
		s.rewriteAll()
	}
}

// mark adds a record that the porter still runs, if it knows a machine. After a restart
// it bounds the sleep time of the machines and the time of the porter's absence. At the
// end of a run, it records the normal end, also if there are only events.
func (s *state) mark(end bool) {
	if len(s.machines) == 0 && (!end || s.events.last() == 0) {
		return
	}
	t := transition{carries: presence}
	if s.ended = end; end {
		t.carries = theEnd
	}
	s.push(t)
}

// supersede removes an older memory from the queue and returns its transition, or nil:
// only the newest memory is written.
func (s *state) supersede(k *known) *transition {
	if k.at < s.first || k.at-s.first >= uint64(len(s.queue)) {
		return nil
	}
	t := &s.queue[k.at-s.first]
	t.carries = nothing
	return t
}

// rewriteAll drops the queue and has the whole state written.
func (s *state) rewriteAll() {
	s.first += uint64(len(s.queue))
	s.queue, s.whole = nil, true
}

// batch is a copy of what is to be written.
type batch struct {
	lines   []line
	whole   bool      // it is everything
	instead bool      // ... in place of a queue that was given up
	end     uint64    // number after the last transition in it
	changes uint64    // what will have been written with it
	base    time.Time // of the timelines
}

// line is what a record is made of.
type line struct {
	event     Event
	memory    machine.Memory
	timeline  *timeline // of the memory; nil: not to be written
	forgotten ether.MAC
	carries   carries
}

// pending returns what waits to be written.
func (s *state) pending() *batch {
	if s.whole {
		return s.everything()
	}
	b := &batch{end: s.first + uint64(len(s.queue)), changes: s.changes, base: s.base, lines: make([]line, 0, len(s.queue))}
	for i := range s.queue {
		t := &s.queue[i]
		l := line{event: t.event, carries: t.carries}
		switch t.carries {
		case newestMemory:
			l.memory = s.machines[t.mac].memory
			if t.timeline {
				l.timeline = s.timelines.copy(t.mac)
			}
		case removal:
			l.forgotten = t.mac
		case nothing:
			if t.event.Kind == "" {
				continue
			}
		}
		b.lines = append(b.lines, l)
	}
	return b
}

// everything returns all that still counts. What is added from now on is queued
// again.
func (s *state) everything() *batch {
	b := &batch{
		whole: true, instead: s.whole, end: s.first + uint64(len(s.queue)), changes: s.changes, base: s.base,
		lines: make([]line, 0, len(s.events.ring)+len(s.machines)),
	}
	s.whole = false
	for e := range s.events.all {
		b.lines = append(b.lines, line{event: *e})
	}
	for _, mac := range s.macs() {
		b.lines = append(b.lines, line{memory: s.machines[mac].memory, timeline: s.timelines.copy(mac), carries: newestMemory})
	}
	if s.ended {
		b.lines = append(b.lines, line{carries: theEnd})
	}
	return b
}

func (s *state) macs() []ether.MAC {
	macs := make([]ether.MAC, 0, len(s.machines))
	for mac := range s.machines {
		macs = append(macs, mac)
	}
	slices.SortFunc(macs, func(a, b ether.MAC) int { return bytes.Compare(a[:], b[:]) })
	return macs
}

// stored records that b is in the file.
func (s *state) stored(b *batch) {
	s.written = b.changes
	if b.end >= s.first { // otherwise the queue was given up meanwhile
		s.queue = slices.Delete(s.queue, 0, int(b.end-s.first))
		s.first = b.end
	}
}

// lost records that b is not in the file.
func (s *state) lost(b *batch) {
	if b.instead {
		s.rewriteAll()
	}
}
