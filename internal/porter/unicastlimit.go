package porter

import (
	"net/netip"
	"time"

	"golang.org/x/time/rate"

	"nightporter/internal/ether"
	"nightporter/internal/handover"
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

// mayTell takes so many frames of the machine's ration and of that for all. What only some
// neighbors need takes nothing of what is kept for clients.
func (e *entry) allowUnicast(frames int, spare bool) bool {
	now, all := time.Now(), e.nic.unicastLimit
	own, rest := e.unicastLimit.TokensAt(now), all.TokensAt(now)
	if spare && (own < unicastReserve || rest < unicastRateOfAll/2) || own < float64(frames) || rest < float64(frames) {
		return false
	}
	return e.unicastLimit.AllowN(now, frames) && all.AllowN(now, frames)
}

// pointRationed tells one neighbor alone that the machine's address is at owner, as far as the
// ration goes. The form that every neighbor on the link takes comes first.
func (e *entry) sendOwnerLimited(g handover.Client, owner ether.MAC) bool {
	if !e.nic.network.Load().Contains(g.IP) { // the frame goes to a router
		if !e.allowUnicast(announcementFrames, false) {
			return false
		}
		e.nic.announceOwner(g.MAC, netip.Addr{}, g.MachineIP, owner)
		return true
	}
	if !e.allowUnicast(1, false) {
		return false
	}
	e.nic.correct(g, owner)
	if e.allowUnicast(announcementFrames, true) {
		e.nic.announceOwner(g.MAC, g.IP, g.MachineIP, owner)
	}
	return true
}

// announcementFrames is how many frames an announcement to one neighbor is at most.
const announcementFrames = 2
