package machine

import (
	"net/netip"
	"time"
)

// claimAll claims the claimable addresses of a machine that is off, and answers again
// for yielded ones. Claimed addresses are announced again unless the claim is quiet.
func (as *addresses) claimAll(c Claim) {
	for i := range as.all {
		a := &as.all[i]
		switch {
		case a.standing == Claimed || a.claimable():
			a.standing, a.yielded, a.inUse, a.proved = Claimed, time.Time{}, false, false
			c.Addrs = append(c.Addrs, a.IP)
		case a.standing == Returned:
			as.endClaim(a)
		}
	}
	if len(c.Addrs) > 0 {
		as.do(c)
	}
}

// claimableAgain starts the recheck of an address of a sleeping machine that got a
// place. The address is claimed if no host answers.
func (as *addresses) claimableAgain(now time.Time, a *address) {
	if as.machine.state == Asleep && a.standing == Own && a.claimable() {
		a.recheck = recheck{next: now}
	}
}

// placed stores where the addresses can be claimed. A claim outlives an outage of its
// network unless the address is forbidden.
func (as *addresses) placed(now time.Time, places []Place) {
	for _, p := range places {
		a := as.of(p.Addr)
		if a == nil {
			continue
		}
		before := a.reason
		a.reason = p.Reason
		a.unproved = a.unproved || p.Unproved && !a.answered
		switch {
		case a.reason == "":
			a.away = time.Time{}
			if before != "" {
				as.claimableAgain(now, a)
			}
		case p.Forbidden && (a.standing == Claimed || a.standing == Returned):
			as.endClaim(a)
		case a.standing == Claimed && a.away.IsZero():
			a.away = now
		}
	}
}

// yield stops answering for addresses that the machine speaks for.
func (as *addresses) yield(now time.Time, some ...*address) {
	var ips []netip.Addr
	for _, a := range some {
		if a.standing == Claimed && a.yielded.IsZero() {
			a.yielded = now
			ips = append(ips, a.IP)
		}
	}
	if len(ips) > 0 {
		as.do(Yield{Addrs: ips})
	}
}

// yieldAll stops answering for all addresses: the machine is up.
func (as *addresses) yieldAll(now time.Time) {
	every := make([]*address, len(as.all))
	for i := range as.all {
		every[i] = &as.all[i]
	}
	as.yield(now, every...)
}

// endClaim ends the claim of an address, with its guard and its forwarding.
func (as *addresses) endClaim(a *address) {
	if a.standing == Claimed {
		as.do(Release{Addrs: []netip.Addr{a.IP}})
	}
	a.standing, a.yielded, a.away = Own, time.Time{}, time.Time{}
	as.do(EndClaim{Addrs: []netip.Addr{a.IP}})
}

// tickAway ends claims whose network has been gone for awayTime.
func (as *addresses) tickAway(now time.Time) {
	for i := range as.all {
		if a := &as.all[i]; a.standing == Claimed && !a.away.IsZero() && now.Sub(a.away) >= awayTime {
			as.endClaim(a)
		}
	}
}

func (as *addresses) nextAway() (next time.Time) {
	for i := range as.all {
		if a := &as.all[i]; a.standing == Claimed && !a.away.IsZero() {
			next = earlier(next, a.away.Add(awayTime))
		}
	}
	return next
}
