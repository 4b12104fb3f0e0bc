package wakecmd

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"nightporter/internal/ether"
)

const (
	// maxRunning is how many programs run at once, for all machines.
	maxRunning = 8

	// runLimit is how long a program may run, and how long it may wait for others to end.
	runLimit = 30 * time.Second
)

// Runner runs programs. Make it with New; Stop ends it.
type Runner struct {
	log    *slog.Logger
	failed func(Job, error)
	limit  time.Duration

	ctx    context.Context
	cancel context.CancelFunc
	group  errgroup.Group
	slots  chan struct{}

	mu       sync.Mutex // guards what follows
	running  map[ether.MAC]bool
	reported map[ether.MAC]bool // its failure in the present wake
}

// New returns a Runner that calls failed when a program fails, once in each wake, on a
// goroutine of its own.
func New(log *slog.Logger, failed func(Job, error)) *Runner {
	r := &Runner{
		log: log, failed: failed, limit: runLimit, slots: make(chan struct{}, maxRunning),
		running: make(map[ether.MAC]bool), reported: make(map[ether.MAC]bool),
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// Start starts a program, unless one of the same machine is running. It does not wait.
func (r *Runner) Start(j Job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		return
	}
	if j.Attempt == 1 {
		delete(r.reported, j.Machine)
	}
	if r.running[j.Machine] {
		r.log.Debug("wake command still runs", "event", "command_runs", "machine", j.Name, "attempt", j.Attempt)
		return
	}
	r.running[j.Machine] = true
	r.group.Go(func() error {
		r.report(j, r.wait(j))
		return nil
	})
}

// wait runs a program as soon as a slot is free.
func (r *Runner) wait(j Job) error {
	patience := time.NewTimer(r.limit)
	defer patience.Stop()
	select {
	case r.slots <- struct{}{}:
	case <-patience.C:
		return fmt.Errorf("not run: %d others have been running for %v", cap(r.slots), r.limit)
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
	defer func() { <-r.slots }()
	began := time.Now()
	err := run(r.ctx, r.limit, j)
	if err == nil {
		r.log.Debug("wake command done", "event", "command_done", "machine", j.Name, "attempt", j.Attempt, "took", time.Since(began).Round(time.Millisecond))
	}
	return err
}

// report reports a failed program, unless Stop has killed it.
func (r *Runner) report(j Job, err error) {
	r.mu.Lock()
	delete(r.running, j.Machine)
	if err == nil || r.ctx.Err() != nil {
		r.mu.Unlock()
		return
	}
	again := j.Repeated || r.reported[j.Machine]
	r.reported[j.Machine] = true
	r.mu.Unlock()
	if again {
		r.log.Debug("wake command failed again", "event", "command_failed", "machine", j.Name, "attempt", j.Attempt, "err", err)
		return
	}
	r.log.Warn("wake command failed", "event", "command_failed", "machine", j.Name, "command", j.Command[0], "attempt", j.Attempt, "err", err)
	r.failed(j, err)
}

// Stop kills all programs, and returns when they have ended.
func (r *Runner) Stop() {
	r.mu.Lock()
	r.cancel()
	r.mu.Unlock()
	_ = r.group.Wait() // report has reported the failures
}
