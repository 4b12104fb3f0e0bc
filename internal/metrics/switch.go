package metrics

import "github.com/prometheus/client_golang/prometheus"

// switchOf is a condition of the porter: a gauge of 1 or 0.
type switchOf struct {
	desc *prometheus.Desc
	on   func() bool
}

// newSwitches returns the conditions that the source has.
func newSwitches(src Source) []switchOf {
	var known []switchOf
	for _, s := range []switchOf{
		{desc("ready",
			"1 while the porter works on every interface, else 0: see /-/ready."), src.Ready},
		{desc("guard_active",
			"1 while the guard keeps this host's kernel silent about claimed addresses, else 0."), src.Guarded},
		{desc("guard_needed",
			"1 if this host's kernel would answer for claimed addresses without the guard, 0 if it would not or claim.guard is off."), src.GuardNeeded},
		{desc("journal_healthy",
			"1 while the journal can be written, 0 while it cannot and registrations are refused."), src.Stored},
	} {
		if s.on != nil {
			known = append(known, s)
		}
	}
	return known
}
