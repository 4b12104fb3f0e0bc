package machine

import (
	"net/netip"
	"slices"
	"time"
)

const (
	// startSilence is the least silence that means off. A machine that starts
	// pauses for up to 2 s while it tests its addresses (RFC 5227 section 1.1,
	// PROBE_MAX and ANNOUNCE_WAIT; RFC 4862 section 5.4 for 1 s), and would take an
	// announcement of ours for a duplicate.
	startSilence = 3 * time.Second

	// testTime bounds how long tests of an address, and frames, put the verdict off: a test is
	// over in 9 s (RFC 5227 section 1.1). Forged ones must not do so for ever, so those of
	// several addresses do for twice as long at most.
	testTime = 10 * time.Second

	// answerTime is how long an answer may take to be one to a question of ours.
	answerTimeout = 3 * time.Second

	// maxOthers bounds the addresses that a machine is asked for beside its own: one
	// of each family, and a link-local one.
	maxOthers = 3
)

// presence is whether a machine is up, as far as it was proved by answers to
// questions of ours. Frames that merely arrive decide nothing.
type presence struct {
	next       time.Time // of the next question; zero: none is due
	open       time.Time // of the question that is open; zero: none is
	lastProbe  time.Time // of the last question
	round      time.Time // of the first question about all addresses since a frame or a proof of life
	misses     int       // questions in a row without a proof of life
	silent     int       // of these, questions without any answer
	since      time.Time // silence counts from here: the last proof, or when the doubt began
	tests      series    // of all addresses
	bareAnswer time.Time // last answer that proved too little
	osSeen     time.Time // last sign of an operating system
	needSystem bool      // only what an operating system answers is a proof
	unsent     bool      // no proof came since a question could not be sent
}

// doubt returns a presence of which nothing is known, with a question due now.
func doubt(now time.Time) presence {
	return presence{next: now, since: now, osSeen: now}
}

// count closes the question that is open.
func (p *presence) count() {
	switch {
	case p.open.IsZero():
		return
	case p.bareAnswer.Before(p.open):
		p.silent++
	default:
		p.silent = 0
	}
	p.misses++
	p.open = time.Time{}
}

// prove takes a proof of life. It answers the question that is open, so that what
// comes later does not put off the next one.
func (p *presence) prove(now time.Time) {
	p.since, p.tests, p.open, p.round = now, series{}, time.Time{}, time.Time{}
	p.misses, p.silent, p.unsent = 0, 0, false
}

// series are tests of an address since the last proof of life that follow each other.
type series struct{ first, last time.Time }

// note takes in one more test, and returns for how long they go on.
func (s *series) note(now time.Time) time.Duration {
	if s.first.IsZero() || now.Sub(s.last) >= startSilence {
		s.first = now
	}
	s.last = now
	return now.Sub(s.first)
}

// test takes a test of an address: the machine may pause before the next frame.
func (p *presence) test(now time.Time, a *address) {
	if own, all := a.tests.note(now), p.tests.note(now); own < testTime && all < 2*testTime {
		p.since = now
	}
}

// excuse has the silence so far count for nothing.
func (p *presence) excuse(now time.Time) {
	p.open, p.round, p.since = time.Time{}, time.Time{}, now
	p.misses, p.silent, p.unsent = 0, 0, true
}

// off reports whether so many questions in a row went without a proof, and the
// last one is long ago enough. Since the machine was last heard it was asked at all
// its addresses, and had time to answer.
func (m *Machine) off(now time.Time, misses int, silence time.Duration) bool {
	p := &m.presence
	return p.misses >= misses && now.Sub(p.since) >= silence &&
		!p.round.IsZero() && now.Sub(p.round) >= m.policy.answerPace()
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

// haveTCP reports whether the machine itself is asked for TCP. Where it has that only at
// an address that it cannot be asked for, its echo has to do.
func (as *addresses) haveTCP() bool {
	return slices.ContainsFunc(as.machine.probedAddrs(), func(ip netip.Addr) bool {
		a := as.of(ip)
		return a != nil && !a.Hosted() && slices.ContainsFunc(a.Ports, func(p Port) bool { return p.Protocol == TCP })
	})
}

// NICAnswers reports whether something is known to answer for the machine while
// it sleeps, and it is to be claimed all the same.
func (m *Machine) NICAnswers() bool { return m.nicAnswers && m.policy.OverrideOffload }

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

// answered takes an answer.
func (m *Machine) answered(now time.Time, e Answered) {
	p := &m.presence
	a := m.addrs.of(e.Addr)
	if now.Sub(p.lastProbe) < answerTimeout && a != nil && !a.answered {
		a.answered = true
		if a.unproved {
			a.unproved = false
			m.do(AddressWaits{Addr: a.IP})
			m.addrs.claimableAgain(now, a)
		}
	}
	proved := m.Proves(e.Addr, e.Proof)
	if e.Proof >= BySystem || e.Proof >= ByEcho && !m.addrs.haveTCP() || a != nil && a.Hosted() {
		p.osSeen = now
	}
	switch {
	case !proved:
		p.bareAnswer = now
		if a != nil && e.Proof == ByNeighbor && !m.NICAnswers() {
			m.addrs.yield(now, a) // the readers have stopped answering for it already
		}
		return
	case p.open.IsZero() || now.Sub(p.open) >= answerTimeout:
		m.hear(now, Heard{Addr: e.Addr, Sign: Uses}, true)
		return
	}
	m.heard = now
	m.failures, m.retryAt = 0, time.Time{}
	p.prove(now)
	m.addrs.endTests()
	if a != nil {
		a.proved = true
	}
	m.provedUp(now, e.Addr, a)
	if a != nil {
		m.addrs.noteUse(now, a)
	}
}

// provedUp does what follows from a proof of life at ip, which is the machine's own
// unless a is nil.
func (m *Machine) provedUp(now time.Time, ip netip.Addr, a *address) {
	switch {
	case a != nil:
		m.atOwn, m.elsewhere = now, false
	case !ip.IsLinkLocalUnicast(): // which a machine has whatever its network gives it
		m.atOther, m.other = now, ip
	}
	switch m.state {
	case Awake:
		m.presence.next = m.watching().nextWatch(now)
		m.endInquiry()
		m.watching().findElsewhere(now)
	case Settling:
		m.settling().answeredSettling(now)
	case Asleep:
		if m.kind != bySilence { // else it may have been up all the time
			m.kind = byFrame
		}
		m.settling().answeredSettling(now)
	case Waking:
		if a != nil && m.wake.attempts > 0 {
			m.waking().enterArriving(now)
		}
	}
}

// hear takes a frame that proves nothing. unasked says that it has the form of an
// answer, which a network card may have sent.
func (m *Machine) hear(now time.Time, e Heard, unasked bool) {
	p := &m.presence
	m.heard = now
	m.failures, m.retryAt = 0, time.Time{}
	a := m.addrs.of(e.Addr)
	if e.Sign == Data {
		p.osSeen = now
	}
	if a == nil && e.Sign == Uses && e.Addr.IsValid() {
		m.noteOtherAddress(e.Addr)
	}
	switch m.state {
	case Settling:
		m.settling().heardSettling(now, a, e, unasked)
	case Asleep:
		m.settling().heardAsleep(now, a, e, unasked)
	case Waking:
		m.waking().heardWaking(now, a, e)
	}
	if e.Sign == Tests && a != nil {
		m.tested = now
		p.test(now, a)
	}
	if a != nil && now.Sub(notBefore(p.since, m.since)) < startSilence+testTime { // forged frames end, too
		p.round = time.Time{}
	}
	switch {
	case a == nil:
	case e.Sign == Tests:
		m.addrs.noteTest(now, a)
	default:
		m.addrs.noteUse(now, a)
	}
}

// remember notes an address that the machine speaks from and did not register: it
// may be up there.
func (m *Machine) noteOtherAddress(ip netip.Addr) {
	if slices.Contains(m.otherAddrs, ip) || !ip.IsGlobalUnicast() && !ip.IsLinkLocalUnicast() {
		return // a frame may name anything, and not all of it can be asked for
	}
	same := func(o netip.Addr) bool {
		return o.Is4() == ip.Is4() && o.IsLinkLocalUnicast() == ip.IsLinkLocalUnicast()
	}
	m.otherAddrs = append(slices.DeleteFunc(slices.Clone(m.otherAddrs), same), ip)
	if len(m.otherAddrs) > maxOthers {
		m.otherAddrs = m.otherAddrs[1:]
	}
}
