// Package timerqueue is a priority queue of keys by time, which holds each key at most
// once.
package timerqueue

import (
	"container/heap"
	"time"
)

// Queue orders keys by time. The zero value is an empty queue. It is not safe
// for concurrent use.
type Queue[K comparable] struct {
	items []item[K]
	index map[K]int // position of a key in items
}

type item[K comparable] struct {
	key K
	at  time.Time
}

// Set sets the time of k and replaces an earlier one. The zero time removes k.
func (q *Queue[K]) Set(k K, at time.Time) {
	i, known := q.index[k]
	switch {
	case at.IsZero():
		q.Remove(k)
	case known:
		q.items[i].at = at
		heap.Fix((*order[K])(q), i)
	default:
		heap.Push((*order[K])(q), item[K]{k, at})
	}
}

// Remove removes k, if it is in the queue.
func (q *Queue[K]) Remove(k K) {
	if i, known := q.index[k]; known {
		heap.Remove((*order[K])(q), i)
	}
}

// Next returns the earliest time, or the zero time if the queue is empty.
func (q *Queue[K]) Next() time.Time {
	if len(q.items) == 0 {
		return time.Time{}
	}
	return q.items[0].at
}

// Pop removes and returns the earliest key whose time is not after now.
func (q *Queue[K]) Pop(now time.Time) (k K, ok bool) {
	if len(q.items) == 0 || q.items[0].at.After(now) {
		return k, false
	}
	return heap.Pop((*order[K])(q)).(item[K]).key, true
}

// order is the heap.Interface of a Queue, kept off its exported methods.
type order[K comparable] Queue[K]

func (o *order[K]) Len() int           { return len(o.items) }
func (o *order[K]) Less(i, j int) bool { return o.items[i].at.Before(o.items[j].at) }

func (o *order[K]) Swap(i, j int) {
	o.items[i], o.items[j] = o.items[j], o.items[i]
	o.index[o.items[i].key], o.index[o.items[j].key] = i, j
}

func (o *order[K]) Push(x any) {
	it := x.(item[K])
	if o.index == nil {
		o.index = make(map[K]int)
	}
	o.index[it.key] = len(o.items)
	o.items = append(o.items, it)
}

func (o *order[K]) Pop() any {
	last := o.items[len(o.items)-1]
	o.items = o.items[:len(o.items)-1]
	delete(o.index, last.key)
	return last
}
