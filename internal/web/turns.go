package web

import (
	"context"
	"sync"

	"nightporter/internal/ratelimit"
)

// turns has clients wait for one another: at most each of one source have a turn at
// once. So a source with many requests waits for itself, and others for one request
// of it.
type turns struct {
	each int
	all  chan struct{} // has room for the turns that there may be at once

	mu     sync.Mutex
	queues map[ratelimit.Source]*queue
}

// queue is the turns of one source.
type queue struct {
	taken chan struct{}
	users int // that wait or have a turn
}

func newTurns(each, all int) *turns {
	return &turns{each: each, all: make(chan struct{}, all), queues: make(map[ratelimit.Source]*queue)}
}

// take waits for a turn, which ends with end. It returns an error if ctx ends
// before.
func (t *turns) take(ctx context.Context, source ratelimit.Source) (end func(), err error) {
	q := t.join(source)
	select {
	case q.taken <- struct{}{}:
	case <-ctx.Done():
		t.quit(source, q)
		return nil, ctx.Err()
	}
	select {
	case t.all <- struct{}{}:
	case <-ctx.Done():
		<-q.taken
		t.quit(source, q)
		return nil, ctx.Err()
	}
	return func() {
		<-t.all
		<-q.taken
		t.quit(source, q)
	}, nil
}

func (t *turns) join(source ratelimit.Source) *queue {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.queues[source]
	if q == nil {
		q = &queue{taken: make(chan struct{}, t.each)}
		t.queues[source] = q
	}
	q.users++
	return q
}

func (t *turns) quit(source ratelimit.Source, q *queue) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if q.users--; q.users == 0 {
		delete(t.queues, source)
	}
}
