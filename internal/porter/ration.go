package porter

import (
	"net/netip"
	"time"

	"nightporter/internal/ether"

	"golang.org/x/time/rate"

	"nightporter/internal/handover"
)

const (
	// tellRate and tellBurst ration, in frames a second, what neighbors are told of one
	// machine's addresses one by one. Any host can have a machine of its own that arrives
	// and never serves, and clients with invented MACs that wait for it. A machine speaks
	// for itself several times while its network comes up, and twenty hosts are told again
	// at once each time.
	tellRate  = 30
	tellBurst = 120
	// tellClients is the part of tellBurst that is kept for clients with held packets.
	tellClients = 30

	// tellAll is the ration of all machines on one interface together, in a second and at
	// once.
	tellAll = 1000
)

func newTells() *rate.Limiter    { return rate.NewLimiter(tellRate, tellBurst) }
func newTellsAll() *rate.Limiter { return rate.NewLimiter(tellAll, tellAll) }

// mayTell takes so many frames of the machine's ration and of that for all. What only some
// neighbors need takes nothing of what is kept for clients.
func (e *entry) mayTell(frames int, spare bool) bool {
	now, all := time.Now(), e.nic.tells
	own, rest := e.tells.TokensAt(now), all.TokensAt(now)
	if spare && (own < tellClients || rest < tellAll/2) || own < float64(frames) || rest < float64(frames) {
		return false
	}
	return e.tells.AllowN(now, frames) && all.AllowN(now, frames)
}

// pointRationed tells one neighbor alone that the machine's address is at owner, as far as the
// ration goes. The form that every neighbor on the link takes comes first.
func (e *entry) pointRationed(g handover.Guest, owner ether.MAC) bool {
	if !e.nic.network.Load().Contains(g.IP) { // the frame goes to a router
		if !e.mayTell(announcementFrames, false) {
			return false
		}
		e.nic.tellOwner(g.MAC, netip.Addr{}, g.Addr, owner)
		return true
	}
	if !e.mayTell(1, false) {
		return false
	}
	e.nic.correctOnce(g, owner)
	if e.mayTell(announcementFrames, true) {
		e.nic.tellOwner(g.MAC, g.IP, g.Addr, owner)
	}
	return true
}

// announcementFrames is how many frames an announcement to one neighbor is at most.
const announcementFrames = 2
