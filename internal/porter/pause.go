package porter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nightporter/internal/machine"
)

// Pause stops all work for a machine until a time, requested by by. It returns once that
// is on the disk.
func (p *Porter) Pause(ctx context.Context, name string, until time.Time, by string) error {
	var refused error
	err := p.withMachine(ctx, name, func(e *entry) {
		if !e.managed() {
			refused = fmt.Errorf("%w: it has not registered, so there is nothing to pause", machine.ErrConflict)
			return
		}
		now := time.Now()
		p.loop.dispatch(e, machine.PauseRequested{Until: now.Add(until.Sub(now)), By: by}) // on the monotonic clock
	})
	if err := errors.Join(err, refused); err != nil {
		return err
	}
	return p.stored(ctx, "it is paused")
}

// Unpause ends a machine's pause early, requested by by. It returns once that is on the
// disk.
func (p *Porter) Unpause(ctx context.Context, name, by string) error {
	var refused error
	err := p.withMachine(ctx, name, func(e *entry) {
		if e.PausedUntil().IsZero() {
			refused = fmt.Errorf("%w: it is not paused", machine.ErrConflict)
			return
		}
		p.loop.dispatch(e, machine.ResumeRequested{By: by})
	})
	if err := errors.Join(err, refused); err != nil {
		return err
	}
	return p.stored(ctx, "it is resumed")
}

// stored waits until the journal is on the disk. what is the change, for the error.
func (p *Porter) stored(ctx context.Context, what string) error {
	if err := p.loop.journal.Sync(ctx); err != nil {
		return fmt.Errorf("%s, but that cannot be stored and is lost with a restart: %v", what, err)
	}
	return nil
}
