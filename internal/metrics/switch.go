package metrics

import "github.com/prometheus/client_golang/prometheus"

// switchOf is something of the porter that is so or is not: a gauge of 1 or 0.
type switchOf struct {
	desc *prometheus.Desc
	on   func() bool
}

// newSwitches returns those that the source can tell of.
func newSwitches(src Source) []switchOf {
	var known []switchOf
	for _, s := range []switchOf{
		{desc("ready",
			"1 while the porter does its work on every interface, 0 while it does not: see /-/ready."), src.Ready},
		{desc("guard_active",
			"1 while this host's kernel is kept silent about claimed addresses, 0 while it is not."), src.Guarded},
		{desc("guard_needed",
			"1 where this host's kernel has to be kept silent about claimed addresses, 0 where it is silent by itself or claim.guard is off."), src.GuardNeeded},
		{desc("journal_healthy",
			"1 while the journal can be written, 0 while it cannot and registrations are refused."), src.Stored},
	} {
		if s.on != nil {
			known = append(known, s)
		}
	}
	return known
}
