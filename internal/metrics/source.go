package metrics

import (
	"time"

	"nightporter/internal/machine"
)

// Source has the functions that are called at each scrape, in the goroutine of the
// scrape. They must be safe for concurrent use.
type Source struct {
	// Machines returns every machine known at this moment. Required.
	Machines func() []machine.Status
	// Drops returns, by interface, how many packets the kernel dropped because
	// the porter did not read them in time. Optional.
	Drops func() map[string]uint64
	// Rejected returns, by interface and reason, how many frames were read but
	// could not be used. Optional.
	Rejected func() map[string]map[string]uint64
	// Guarded returns whether the guard keeps this host's kernel silent about claimed
	// addresses, GuardNeeded whether the kernel would answer without it. Optional.
	Guarded, GuardNeeded func() bool
	// Ready returns whether the porter works on every interface. Optional.
	Ready func() bool
	// Stored returns whether the journal can be written. Optional.
	Stored func() bool
	// Now returns the time on the clock of the machines' Since. Optional: time.Now.
	Now func() time.Time
}
