package porter

import (
	"golang.org/x/time/rate"
)

const (
	// unicastRate and unicastBurst limit the frames per second that correct neighbors one by
	// one about one machine. Otherwise a host could register a machine that never gets ready,
	// and invent clients of it. A machine announces itself several times while its network
	// comes up, and each time twenty hosts are corrected at once.
	unicastRate  = 30
	unicastBurst = 120
	// unicastReserve is the part of unicastBurst for clients with held packets.
	unicastReserve = 30

	// unicastRateOfAll is the rate and the burst of all machines on one interface together.
	unicastRateOfAll = 1000
)

func newUnicastLimit() *rate.Limiter      { return rate.NewLimiter(unicastRate, unicastBurst) }
func newUnicastLimitOfAll() *rate.Limiter { return rate.NewLimiter(unicastRateOfAll, unicastRateOfAll) }
