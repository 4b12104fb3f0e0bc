package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/web"
)

// notYet is the exit code of a wake that is not over within --wait, or over without all
// services of its machine.
const notYet exitCode = 2

// wait looks at one wake from before it is asked for.
type wait struct {
	client *web.Client
	name   string
	show   func(journal.Event) error
	began  time.Time
	since  uint64 // the last event before
}

// outcome is how a wake went, as --json prints it.
type outcome struct {
	Machine  string         `json:"machine"`
	Awake    bool           `json:"awake"`               // and its services are ready
	NotReady []string       `json:"not_ready,omitempty"` // services of a machine that answers
	Seconds  float64        `json:"seconds"`             // since it was asked for
	Event    *journal.Event `json:"event"`               // that says so; null: it was awake, or the time was over
}

// remember notes what has happened, so that nothing is missed of what follows.
func (w *wait) remember(ctx context.Context) error {
	last, err := w.client.Events(ctx, web.EventQuery{Limit: 1})
	if err == nil && len(last) > 0 {
		w.since = last[0].Seq
	}
	return err
}

// errOver ends a stream of which enough is known.
var errOver = errors.New("the wake is over")

// follow shows what happens to the machine until it is awake, will not be, or the
// time is over.
func (w *wait) follow(ctx context.Context, limit time.Duration) (outcome, error) {
	limited, cancel := context.WithDeadline(ctx, w.began.Add(limit))
	defer cancel()
	done := outcome{Machine: w.name}
	err := w.client.Follow(limited, web.EventQuery{Since: &w.since, Machine: w.name}, func(e journal.Event) error {
		if err := w.show(e); err != nil {
			return err
		}
		switch e.Kind {
		case journal.Ready, journal.Awake, journal.HandStart:
			done.Awake, done.NotReady, done.Event = len(e.NotReady) == 0, e.NotReady, &e
			return errOver
		case journal.Failed, journal.Forgotten:
			done.Event = &e
			return errOver
		default:
			return nil
		}
	})
	done.Seconds = time.Since(w.began).Round(time.Millisecond).Seconds()
	switch {
	case errors.Is(err, errOver):
		return done, nil
	case ctx.Err() == nil && limited.Err() != nil:
		return done, w.lookUnready(ctx, &done)
	}
	return done, err
}

// lookUnready notes what the porter still waits for at the machine.
func (w *wait) lookUnready(ctx context.Context, done *outcome) error {
	m, err := w.client.Machine(ctx, w.name)
	if err == nil && m.Arrival != nil {
		done.NotReady = m.Arrival.NotReady
	}
	return err
}

// inWords says how the machine is.
func (o outcome) inWords() string {
	switch {
	case o.Awake && o.Event == nil:
		return "is awake already; it got a magic packet all the same"
	case o.Awake:
		return fmt.Sprintf("is awake after %.1f s", o.Seconds)
	case len(o.NotReady) > 0:
		return fmt.Sprintf("answers, but after %.1f s %s", o.Seconds, web.NotReady(o.NotReady))
	case o.Event == nil:
		return fmt.Sprintf("is not awake after %.1f s", o.Seconds)
	case o.Event.Kind == journal.Failed:
		return web.InWords(*o.Event)
	default:
		return fmt.Sprintf("is not awake: %s", web.InWords(*o.Event))
	}
}

// code returns nil, or the exit code of a machine that is not awake.
func (o outcome) code() error {
	switch {
	case o.Awake:
		return nil
	case o.Event == nil || len(o.NotReady) > 0:
		return notYet
	default:
		return exitCode(1)
	}
}
