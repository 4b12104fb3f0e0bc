package machine

import (
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"time"
)

// The pause before a conceded address is checked is drawn from a span of probe
// intervals. The span begins with firstRecheck and doubles with each check that finds
// the other host, up to longestRecheck.
const (
	firstRecheck   = 8
	longestRecheck = 64
)

// recheckPause returns the time until a conceded address is checked again. It is
// between one and two spans and differs between porters: of two porters that conceded
// to each other, one checks first, and answers when the other checks.
func (as *addresses) recheckPause(a *address) time.Duration {
	looks := a.recheck.found
	span := uint64(min(firstRecheck<<min(looks, 10), longestRecheck)) * uint64(as.machine.policy.ProbeInterval)
	h := fnv.New64a()
	h.Write(a.IP.AsSlice())
	for _, n := range []uint64{as.machine.policy.Porter, as.machine.tally.Conflicts, uint64(looks)} {
		h.Write(binary.BigEndian.AppendUint64(nil, n))
	}
	return time.Duration(span + h.Sum64()%span)
}

// recheckLater starts another pause before the address is checked.
func (as *addresses) recheckLater(now time.Time, a *address) {
	a.recheck.requests = 0
	a.recheck.next = now.Add(as.recheckPause(a))
}

// recheckFailed postpones the check of an address for which no request could be sent.
func (as *addresses) recheckFailed(now time.Time, ip netip.Addr) {
	switch a := as.of(ip); {
	case a == nil:
	case a.standing == Conceded:
		as.recheckLater(now, a)
	case a.standing == Own:
		a.recheck = recheck{next: now.Add(as.machine.policy.ProbeInterval)}
	}
}

// recheckOwn checks addresses that got a place while the machine was woken.
func (as *addresses) recheckOwn(now time.Time) {
	for i := range as.all {
		as.claimableAgain(now, &as.all[i])
	}
}

// tickRechecks sends the requests of rechecks, and claims the addresses for which no
// other host has answered.
func (as *addresses) tickRechecks(now time.Time) {
	var free []netip.Addr
	for i := range as.all {
		a := &as.all[i]
		r := &a.recheck
		misses, pause := as.machine.policy.ProbeMisses, as.machine.policy.ProbeInterval
		if a.standing == Own {
			misses, pause = quickMisses, as.machine.policy.answerPace()
		}
		switch {
		case r.next.IsZero() || now.Before(r.next):
		case a.standing == Own && !a.claimable():
			*r = recheck{} // it has no place any more
		case r.requests >= misses:
			if a.standing == Conceded {
				as.do(ConflictOver{Addr: a.IP})
			}
			*r = recheck{}
			a.standing = Own
			if a.claimable() {
				a.standing, a.yielded, a.inUse = Claimed, time.Time{}, false
				free = append(free, a.IP)
			}
		default:
			r.requests++
			r.next = now.Add(pause)
			as.do(Recheck{Addr: a.IP})
		}
	}
	if len(free) > 0 {
		as.do(Claim{Addrs: free})
	}
}

// nextRecheck returns when tickRechecks is due, or the zero time.
func (as *addresses) nextRecheck() (next time.Time) {
	for i := range as.all {
		next = earlier(next, as.all[i].recheck.next)
	}
	return next
}

// stopRechecks ends rechecks that are under way: their result says nothing about the
// time after the machine spoke or was woken.
func (as *addresses) stopRechecks() {
	for i := range as.all {
		a := &as.all[i]
		a.recheck.requests = 0
		if a.standing == Own {
			a.recheck = recheck{}
		}
	}
}
