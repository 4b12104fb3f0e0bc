package machine

import (
	"net/netip"
	"slices"
	"time"
)

// unheardPace is the least time between probes of a booting machine that was not heard
// and is not expected yet: a switch floods the probes to all ports, and one forged SYN
// starts them. A boot is noticed at most that much later.
const unheardPace = 20 * time.Millisecond

// probeArriving probes a booting machine: while its address is claimed, no other way
// finds a machine that does not announce itself.
func (m waking) probeArriving(now time.Time) {
	p := &m.presence
	if p.next.IsZero() || now.Before(p.next) {
		return
	}
	m.probe(now, m.awaitedAddrs(now), false)
	p.next = now.Add(Pace(now.Sub(m.wake.firstMagic), max(m.pace, m.leastPause(now)), arrivalPace))
}

// leastPause returns the least time to the next probe of a booting machine. Probes are
// dense near the expected end of its boot, and after each frame of it: a hundredth of
// the time since the frame. Once the machine has answered at all awaited addresses, it
// is probed only to see that it stays up.
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

// awaitedAddrs returns the addresses that clients wait for and those that the machine
// has spoken for. It returns all probed addresses if there are none, if only TCP
// proves the machine up, if a virtual machine is awaited, and before the machine is
// considered off: it may be up at the others alone.
func (m waking) awaitedAddrs(now time.Time) []netip.Addr {
	waking := m.state == Waking
	addrs := m.addrs.which(func(a *address) bool {
		return a.reason == "" && a.standing != Conceded && (waking && !a.yielded.IsZero() ||
			slices.ContainsFunc(m.wake.services, func(s Service) bool { return s.Addr == a.IP }))
	})
	forGuest := slices.ContainsFunc(addrs, func(ip netip.Addr) bool { return m.addrs.of(ip).Guest() })
	if len(addrs) == 0 || forGuest || m.NeededProof() > ByNeighbor || !waking && now.Sub(m.presence.since) >= startSilence/2 {
		return m.probedAddrs()
	}
	return append(addrs, m.otherAddrs...)
}

// answersWhereAwaited reports whether the machine has answered for all awaited
// addresses.
func (m waking) answersWhereAwaited(now time.Time) bool {
	return !slices.ContainsFunc(m.awaitedAddrs(now), func(ip netip.Addr) bool {
		a := m.addrs.of(ip)
		return a != nil && !a.proved
	})
}

// reclaimYielded answers again for addresses that a frame spoke for, if no proof of
// life followed within startSilence.
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
