package machine

import (
	"net/netip"
	"time"
)

// returnAll releases all claimed addresses of a machine that is up. While the machine
// tests an address, any packet that says who has it fails the test, even one that
// names the machine itself (RFC 4862 section 5.4.4, RFC 5227 section 2.1.1). So each
// address is announced once it is in use.
func (as *addresses) returnAll(now time.Time) {
	held := as.machine.Claimed()
	if len(held) == 0 {
		return
	}
	as.do(Release{Addrs: held})
	for i := range as.all {
		a := &as.all[i]
		if a.standing != Claimed {
			continue
		}
		a.standing, a.announced, a.until, a.yielded, a.away = Returned, false, now.Add(seekTime), time.Time{}, time.Time{}
		if a.inUse {
			as.announce(now, a)
		}
	}
	as.nextProbe = now
}

// returnAddresses releases all addresses of a machine that uses them, or is off and no
// longer monitored. Addresses that the machine may be testing are not announced.
func (as *addresses) returnAddresses(now time.Time) {
	for i := range as.all {
		a := &as.all[i]
		a.inUse = a.inUse || a.yielded.IsZero()
	}
	as.returnAll(now)
}

// announce announces a returned address at the machine's MAC.
func (as *addresses) announce(now time.Time, a *address) {
	a.announced, a.until = true, now.Add(AnnouncedFor)
	as.do(Announce{Addrs: []netip.Addr{a.IP}})
}

// handBack ends the claim of an address that no longer belongs to the machine. The
// address is announced at its owner's MAC unless the machine may be testing it.
func (as *addresses) handBack(a *address) {
	if a.standing == Claimed && a.yielded.IsZero() {
		ips := []netip.Addr{a.IP}
		a.standing = Returned
		as.do(Release{Addrs: ips})
		as.do(Announce{Addrs: ips})
	}
	as.endClaim(a)
}

// endReturns ends every return at once.
func (as *addresses) endReturns() {
	for i := range as.all {
		if as.all[i].standing == Returned {
			as.endClaim(&as.all[i])
		}
	}
}

// noteUse records that the machine uses an address.
func (as *addresses) noteUse(now time.Time, a *address) {
	a.inUse = true
	if a.standing == Returned && !a.announced {
		as.announce(now, a)
	}
}

// noteTest records that the machine tests an address, possibly after its firmware used
// it.
func (as *addresses) noteTest(now time.Time, a *address) {
	a.inUse = false
	if a.standing == Returned && a.announced {
		a.announced, a.until = false, now.Add(seekTime)
		as.nextProbe = now
		as.do(StopAnnouncing{Addrs: []netip.Addr{a.IP}})
	}
}

// probesReturned reports whether returned addresses are probed.
func (as *addresses) probesReturned() bool {
	return as.machine.state == Awake && !as.machine.isPaused()
}

// nextReturn returns when tickReturns is due, or the zero time.
func (as *addresses) nextReturn() (next time.Time) {
	for i := range as.all {
		if a := &as.all[i]; a.standing == Returned {
			next = earlier(next, a.until)
			if unseen(a) && as.probesReturned() { // a settling machine is probed anyway
				next = earlier(next, as.nextProbe)
			}
		}
	}
	return next
}

// tickReturns ends returns whose time is over. It returns the addresses of an awake
// machine that have to be probed because the machine has not used them yet.
func (as *addresses) tickReturns(now time.Time) (ask []netip.Addr) {
	for i := range as.all {
		if a := &as.all[i]; a.standing == Returned && !now.Before(a.until) {
			as.endClaim(a)
		}
	}
	if !as.probesReturned() || now.Before(as.nextProbe) {
		return nil
	}
	as.nextProbe = now.Add(arrivalPace)
	return as.which(unseen)
}
