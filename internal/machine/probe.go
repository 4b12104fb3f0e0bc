package machine

import (
	"net/netip"
	"slices"
	"time"
)

// probedAddrs returns the addresses that are probed: those of the registration that
// have a place, and other addresses that the machine has used. If all its own are
// conceded, these are probed at the machine's MAC. If none has a place, nothing is
// probed.
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

// haveTCP reports whether a TCP service of the machine itself can be probed.
func (as *addresses) haveTCP() bool {
	return slices.ContainsFunc(as.machine.probedAddrs(), func(ip netip.Addr) bool {
		a := as.of(ip)
		return a != nil && !a.Guest() && slices.ContainsFunc(a.Ports, func(p Port) bool { return p.Protocol == TCP })
	})
}

// NeededProof returns the weakest proof of life that counts. If the network card or
// management firmware may answer for a sleeping machine, only an answer of an
// operating system counts.
func (m *Machine) NeededProof() Proof {
	switch {
	case !m.presence.needSystem && !m.NICAnswers():
		return ByNeighbor
	case m.addrs.haveTCP():
		return BySystem
	}
	return ByEcho
}

// Proves reports whether an answer for ip proves that the machine is up. An answer of
// a virtual machine always does: neither network card nor firmware sends it.
func (m *Machine) Proves(ip netip.Addr, proof Proof) bool {
	a := m.addrs.of(ip)
	return proof >= m.NeededProof() || a != nil && a.Guest()
}

// probe probes the addresses. Without any address the machine cannot be probed, and
// its silence proves nothing.
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

// probeSoon makes the next probe due at once, but no sooner than pause after the last
// one.
func (m *Machine) probeSoon(pause time.Duration) {
	m.presence.next = earlier(m.presence.next, m.presence.lastProbe.Add(pause))
}

// off reports whether the machine has left at least so many probes in a row unanswered
// for at least silence. All its addresses were probed since it was last heard, and it
// had time to answer.
func (m *Machine) off(now time.Time, misses int, silence time.Duration) bool {
	p := &m.presence
	return p.misses >= misses && now.Sub(p.since) >= silence &&
		!p.round.IsZero() && now.Sub(p.round) >= m.policy.answerPace()
}
