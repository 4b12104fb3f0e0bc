package machine

import (
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"time"
)

// The wait before a conceded address is looked at is drawn from a span of probe
// intervals that begins with firstWait, and doubles with each look that finds the
// other host there, up to longestWait: two porters soon agree, and a host that
// stays is hardly asked.
const (
	firstRecheck   = 8
	longestRecheck = 64
)

// wait returns how long a conceded address is left alone. It is between one and
// two spans, and differs between porters: of two that gave way to each other one
// asks first, and answers when the other does.
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

// lookLater leaves an address alone for another wait.
func (as *addresses) recheckLater(now time.Time, a *address) {
	a.recheck.asked = 0
	a.recheck.next = now.Add(as.recheckPause(a))
}

// recheckFailed leaves an address alone that could not be asked for.
func (as *addresses) recheckFailed(now time.Time, ip netip.Addr) {
	switch a := as.of(ip); {
	case a == nil:
	case a.standing == Conceded:
		as.recheckLater(now, a)
	case a.standing == Own:
		a.recheck = recheck{next: now.Add(as.machine.policy.ProbeInterval)}
	}
}

// recheckOwn looks at addresses that got a place while the machine was woken.
func (as *addresses) recheckOwn(now time.Time) {
	for i := range as.all {
		as.claimableAgain(now, &as.all[i])
	}
}

// tickRechecks asks for addresses that may be claimed while the machine sleeps, and
// claims those for which no other host has answered.
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
			*r = recheck{} // its place is gone again
		case r.asked >= misses:
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
			r.asked++
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

// stopRechecks ends looks that are under way. What was asked before the machine
// spoke, or before its wake, says nothing about the time after it.
func (as *addresses) stopRechecks() {
	for i := range as.all {
		a := &as.all[i]
		a.recheck.asked = 0
		if a.standing == Own {
			a.recheck = recheck{}
		}
	}
}
