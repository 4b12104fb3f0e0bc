package porter

import (
	"golang.org/x/time/rate"
)

const (
	// tellRate and tellBurst ration, in frames a second, what neighbors are told of one
	// machine's addresses one by one. Any host can have a machine of its own that arrives
	// and never serves, and clients with invented MACs that wait for it. A machine speaks
	// for itself several times while its network comes up, and twenty hosts are told again
	// at once each time.
	unicastRate  = 30
	unicastBurst = 120
	// tellClients is the part of tellBurst that is kept for clients with held packets.
	unicastReserve = 30

	// tellAll is the ration of all machines on one interface together, in a second and at
	// once.
	unicastRateOfAll = 1000
)

func newUnicastLimit() *rate.Limiter      { return rate.NewLimiter(unicastRate, unicastBurst) }
func newUnicastLimitOfAll() *rate.Limiter { return rate.NewLimiter(unicastRateOfAll, unicastRateOfAll) }
