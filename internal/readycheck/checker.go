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

	// most is how many checks run at once.
	most = 32
)

// Subject is what a check is about.
type Subject struct {
	Machine ether.MAC
	Service machine.Service
	Began   time.Time // of the waiting that it belongs to
}

// Result is what came of a check.
type Result struct {
	Subject
	Err error // why the service is not ready; nil: it is
}

// Checker runs checks. Only its results may be read by another goroutine than the one
// that calls its methods.
type Checker struct {
	run     context.Context // of all checks; it ends with Close
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
	c := &Checker{running: make(map[place]bool), results: make(chan Result, most)}
	c.run, c.stop = context.WithCancel(context.Background())
	return c
}

// Start begins a check, and reports whether it did: there may be too many, or one of
// the service already.
func (c *Checker) Start(s Subject, t Target) bool {
	if len(c.running) >= most || c.running[s.place()] {
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

// Results returns the channel of results. Done has to be called for each.
func (c *Checker) Results() <-chan Result { return c.results }

// Done makes room for another check of the service.
func (c *Checker) Done(r Result) { delete(c.running, r.place()) }

// Close ends all checks, and returns when they have ended.
func (c *Checker) Close() {
	c.stop()
	c.group.Wait()
}
