package soak

import "time"

// queue holds the events to come, in order of time.
type queue struct {
	now   time.Time
	heap  []entry
	count uint64
}

type entry struct {
	at  int64  // in nanoseconds since 1970, which compare faster than a time.Time
	seq uint64 // of two events at one time, the one that was added first happens first
	do  func()
}

func (e *entry) before(o *entry) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// after schedules an event in d from now.
func (q *queue) after(d time.Duration, do func()) { q.at(q.now.Add(d), do) }

// at schedules an event at a time, or now if the time is past.
func (q *queue) at(at time.Time, do func()) {
	q.count++
	e := entry{max(at.UnixNano(), q.now.UnixNano()), q.count, do}
	i := len(q.heap)
	q.heap = append(q.heap, e)
	for i > 0 {
		up := (i - 1) / 2
		if q.heap[up].before(&e) {
			break
		}
		q.heap[i] = q.heap[up]
		i = up
	}
	q.heap[i] = e
}

// run lets all events up to and including end happen.
func (q *queue) run(end time.Time) {
	for last := end.UnixNano(); len(q.heap) > 0 && q.heap[0].at <= last; {
		e := q.pop()
		q.now = q.now.Add(time.Duration(e.at - q.now.UnixNano()))
		e.do()
	}
	q.now = end
}

func (q *queue) pop() entry {
	n := len(q.heap) - 1
	first, last := q.heap[0], q.heap[n]
	q.heap[n] = entry{}
	q.heap = q.heap[:n]
	for i := 0; n > 0; {
		down := 2*i + 1
		if down+1 < n && q.heap[down+1].before(&q.heap[down]) {
			down++
		}
		if down >= n || last.before(&q.heap[down]) {
			q.heap[i] = last
			break
		}
		q.heap[i] = q.heap[down]
		i = down
	}
	return first
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
