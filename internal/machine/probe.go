package machine

import (
	"net/netip"
	"slices"
	"time"
)

// questioned returns the addresses that the machine is asked for: its own, as far
// as they have a place, and those it spoke from. Where all its own were left to other
// hosts it is asked for these, at its MAC: it may be off all the same. Where none has
// a place it is not asked: that it is silent at others says nothing.
func (m *Machine) probedAddrs() []netip.Addr {
	own := m.addrs.which(func(a *address) bool { return a.reason == "" && a.standing != Conceded })
	if len(own) == 0 {
		own = m.addrs.which(func(a *address) bool { return a.reason == "" })
	}
	if len(own) == 0 {
		return nil
	}
	return append(own, m.otherAddrs...)
}

// haveTCP reports whether the machine itself is asked for TCP. Where it has that only at
// an address that it cannot be asked for, its echo has to do.
func (as *addresses) haveTCP() bool {
	return slices.ContainsFunc(as.machine.probedAddrs(), func(ip netip.Addr) bool {
		a := as.of(ip)
		return a != nil && !a.Hosted() && slices.ContainsFunc(a.Ports, func(p Port) bool { return p.Protocol == TCP })
	})
}

// NeededProof returns the least proof that counts. Where a network card or management
// firmware may answer for a machine that sleeps, only what an operating system
// sends does.
func (m *Machine) NeededProof() Proof {
	switch {
	case !m.presence.needSystem && !m.NICAnswers():
		return ByNeighbor
	case m.addrs.haveTCP():
		return BySystem
	}
	return ByEcho
}

// Proves reports whether an answer for ip proves that the machine is up. One of a
// guest does: neither the machine's network card nor its firmware sends that.
func (m *Machine) Proves(ip netip.Addr, proof Proof) bool {
	a := m.addrs.of(ip)
	return proof >= m.NeededProof() || a != nil && a.Hosted()
}

// ask sends a question about the addresses. Without any the machine cannot be
// asked, and its silence says nothing.
func (m *Machine) probe(now time.Time, addrs []netip.Addr, broadcast bool) {
	p := &m.presence
	if len(addrs) == 0 {
		p.excuse(now)
		return
	}
	p.open, p.lastProbe = now, now
	if p.round.IsZero() && len(addrs) >= len(m.probedAddrs()) {
		p.round = now
	}
	m.do(Probe{Addrs: addrs, Broadcast: broadcast, System: m.NeededProof() > ByNeighbor})
}

// askSoon has a machine asked that was heard: at once, but not for each frame of many.
func (m *Machine) probeSoon(pause time.Duration) {
	m.presence.next = earlier(m.presence.next, m.presence.lastProbe.Add(pause))
}

// off reports whether so many questions in a row went without a proof, and the
// last one is long ago enough. Since the machine was last heard it was asked at all
// its addresses, and had time to answer.
func (m *Machine) off(now time.Time, misses int, silence time.Duration) bool {
	p := &m.presence
	return p.misses >= misses && now.Sub(p.since) >= silence &&
		!p.round.IsZero() && now.Sub(p.round) >= m.policy.answerPace()
}
