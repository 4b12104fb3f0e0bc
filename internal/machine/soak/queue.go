package soak

import "time"

// queue holds the events to come, in order of time.
type queue struct {
	now   time.Time
	heap  []entry
	count uint64
}

type entry struct {
	at  time.Time
	seq uint64 // of two events at one time, the one that was added first happens first
	do  func()
}

func (e *entry) before(o *entry) bool {
	if c := e.at.Compare(o.at); c != 0 {
		return c < 0
	}
	return e.seq < o.seq
}

// after schedules an event in d from now.
func (q *queue) after(d time.Duration, do func()) { q.at(q.now.Add(d), do) }

// at schedules an event at a time, or now if the time is past.
func (q *queue) at(at time.Time, do func()) {
	if at.Before(q.now) {
		at = q.now
	}
	q.count++
	q.heap = append(q.heap, entry{at, q.count, do})
	for i := len(q.heap) - 1; i > 0; {
		up := (i - 1) / 2
		if q.heap[up].before(&q.heap[i]) {
			break
		}
		q.heap[up], q.heap[i] = q.heap[i], q.heap[up]
		i = up
	}
}

// run lets all events up to and including end happen.
func (q *queue) run(end time.Time) {
	for len(q.heap) > 0 && !q.heap[0].at.After(end) {
		e := q.pop()
		q.now = e.at
		e.do()
	}
	q.now = end
}

func (q *queue) pop() entry {
	first, last := q.heap[0], len(q.heap)-1
	q.heap[0] = q.heap[last]
	q.heap[last] = entry{}
	q.heap = q.heap[:last]
	for i := 0; ; {
		least := i
		for _, down := range [2]int{2*i + 1, 2*i + 2} {
			if down < last && q.heap[down].before(&q.heap[least]) {
				least = down
			}
		}
		if least == i {
			return first
		}
		q.heap[i], q.heap[least] = q.heap[least], q.heap[i]
		i = least
	}
}

// timer is an event that happens once, unless it is stopped before.
type timer struct{ version uint64 }

func (t *timer) stop() { t.version++ }

func (t *timer) set(q *queue, at time.Time, do func()) {
	t.version++
	version := t.version
	q.at(at, func() {
		if t.version == version {
			t.version++
			do()
		}
	})
}
