package readycheck

import (
	"context"
	"sync"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

const (
	// Limit is how long one check may take.
	Limit = 2 * time.Second

	// maxRunning is how many checks run at once.
	maxRunning = 32
)

// Subject identifies a check.
type Subject struct {
	Machine ether.MAC
	Service machine.Service
	Began   time.Time // start of the arrival that it belongs to
}

// Result is the result of a check.
type Result struct {
	Subject
	Err error // why the service is not ready; nil: it is
}

// Checker runs checks. Its methods are called by one goroutine; the channel of results
// may be read by another.
type Checker struct {
	run     context.Context // of all checks; Close cancels it
	stop    context.CancelFunc
	group   sync.WaitGroup
	running map[place]bool
	results chan Result // has room for all that run
}

// place is a service of a machine, of which one check runs at a time.
type place struct {
	machine ether.MAC
	service machine.Service
}

func (s Subject) place() place { return place{s.Machine, s.Service} }

// New returns a Checker. Close ends it.
func New() *Checker {
	c := &Checker{running: make(map[place]bool), results: make(chan Result, maxRunning)}
	c.run, c.stop = context.WithCancel(context.Background())
	return c
}

// Start starts a check, and reports whether it did: it does not if maxRunning checks
// run, or one of the service.
func (c *Checker) Start(s Subject, t Target) bool {
	if len(c.running) >= maxRunning || c.running[s.place()] {
		return false
	}
	c.running[s.place()] = true
	c.group.Go(func() {
		ctx, cancel := context.WithTimeout(c.run, Limit)
		defer cancel()
		c.results <- Result{s, t.check(ctx)}
	})
	return true
}

// Results returns the channel of results. Call Done for each.
func (c *Checker) Results() <-chan Result { return c.results }

// Done allows another check of the service.
func (c *Checker) Done(r Result) { delete(c.running, r.place()) }

// Close ends all checks, and returns when they have ended.
func (c *Checker) Close() {
	c.stop()
	c.group.Wait()
}
