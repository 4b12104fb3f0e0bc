package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/web"
)

// notYet is the exit code of a wake that is not over within --wait.
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
	Machine string         `json:"machine"`
	Awake   bool           `json:"awake"`
	Seconds float64        `json:"seconds"` // since it was asked for
	Event   *journal.Event `json:"event"`   // that says so; null: it was awake, or the time was over
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
			done.Awake, done.Event = true, &e
			return errOver
		case journal.Failed, journal.Forgotten:
			done.Event = &e
			return errOver
		default:
			return nil
		}
	})
	done.Seconds = time.Since(w.began).Round(time.Millisecond).Seconds()
	if errors.Is(err, errOver) || ctx.Err() == nil && limited.Err() != nil {
		return done, nil
	}
	return done, err
}

// inWords says how the machine is.
func (o outcome) inWords() string {
	switch {
	case o.Awake && o.Event == nil:
		return "awake already; it got a magic packet all the same"
	case o.Awake:
		return fmt.Sprintf("awake after %.1f s", o.Seconds)
	case o.Event == nil:
		return fmt.Sprintf("not awake after %.1f s", o.Seconds)
	default:
		return fmt.Sprintf("not awake: %s", web.InWords(*o.Event))
	}
}

// code returns nil, or the exit code of a machine that is not awake.
func (o outcome) code() error {
	switch {
	case o.Awake:
		return nil
	case o.Event == nil:
		return notYet
	default:
		return exitCode(1)
	}
}
