package machine

import (
	"net/netip"
	"slices"
	"time"
)

// unheardPace is how soon a booting machine is asked again while nothing says that it is
// about to come: a switch floods the questions to all ports, and one forged SYN begins
// them. A boot is noticed so much later at most.
const unheardPace = 20 * time.Millisecond

// askArriving asks a booting machine whether it is there: one that does not
// announce itself is found no other way while we answer for its address.
func (m waking) probeArriving(now time.Time) {
	p := &m.presence
	if p.next.IsZero() || now.Before(p.next) {
		return
	}
	m.probe(now, m.awaitedAddrs(now), false)
	p.next = now.Add(Pace(now.Sub(m.wake.firstMagic), max(m.pace, m.leastPause(now)), arrivalPace))
}

// leastPause returns how soon a machine that is awaited may be asked again. It is asked
// densely about when it is expected, and after each frame of it: a hundredth of the time
// since then costs few questions, and next to no time. Once it has answered where its
// clients wait it is only asked whether it is still there.
func (m waking) leastPause(now time.Time) time.Duration {
	switch w := &m.wake; {
	case m.state == Arriving && m.answersWhereAwaited(now):
		return arrivalPace
	case m.state == Arriving || m.bootTimes.expected(now.Sub(w.firstMagic)):
		return 0
	case !m.heard.Before(w.firstMagic):
		return min(now.Sub(m.heard)/100, unheardPace)
	}
	return unheardPace
}

// awaited returns the addresses that clients wait for, and those that the machine
// spoke for. It returns all where there is none, where only TCP proves the machine up,
// where a guest is waited for, which comes later than the machine, and where it is about
// to be taken for off: it may be up at the others alone.
func (m waking) awaitedAddrs(now time.Time) []netip.Addr {
	waking := m.state == Waking
	addrs := m.addrs.which(func(a *address) bool {
		return a.reason == "" && a.standing != Conceded && (waking && !a.yielded.IsZero() ||
			slices.ContainsFunc(m.wake.services, func(s Service) bool { return s.Addr == a.IP }))
	})
	forGuest := slices.ContainsFunc(addrs, func(ip netip.Addr) bool { return m.addrs.of(ip).Hosted() })
	if len(addrs) == 0 || forGuest || m.NeededProof() > ByNeighbor || !waking && now.Sub(m.presence.since) >= startSilence/2 {
		return m.probedAddrs()
	}
	return append(addrs, m.otherAddrs...)
}

// answersWhereAwaited reports whether a machine that arrives has answered for all
// addresses that it is asked for.
func (m waking) answersWhereAwaited(now time.Time) bool {
	return !slices.ContainsFunc(m.awaitedAddrs(now), func(ip netip.Addr) bool {
		a := m.addrs.of(ip)
		return a != nil && !a.proved
	})
}

// reclaimYielded answers again for addresses that a frame spoke for, and whose
// machine has not proved to be up since.
func (m waking) reclaimYielded(now time.Time) {
	var ips []netip.Addr
	for i := range m.addrs.all {
		a := &m.addrs.all[i]
		if a.standing == Claimed && !a.yielded.IsZero() && now.Sub(a.yielded) >= startSilence {
			a.yielded, a.inUse = time.Time{}, false
			ips = append(ips, a.IP)
		}
	}
	if len(ips) > 0 {
		m.do(Claim{Addrs: ips, Quiet: true})
	}
}
