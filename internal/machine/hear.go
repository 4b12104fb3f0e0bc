package machine

import (
	"net/netip"
	"slices"
	"time"
)

// hear handles a frame that proves nothing. unasked means that it has the form of an
// answer, which a network card may have sent.
func (m receiving) hear(now time.Time, e Heard, unasked bool) {
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
		m.settling().heardSettling(now, a, unasked)
	case Asleep:
		m.settling().heardAsleep(now, a, unasked)
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

// noteOtherAddress records an address that the machine uses without having registered
// it: the machine may be up there.
func (m receiving) noteOtherAddress(ip netip.Addr) {
	if slices.Contains(m.otherAddrs, ip) || !ip.IsGlobalUnicast() && !ip.IsLinkLocalUnicast() {
		return // a frame may name any address, and some cannot be probed
	}
	same := func(o netip.Addr) bool {
		return o.Is4() == ip.Is4() && o.IsLinkLocalUnicast() == ip.IsLinkLocalUnicast()
	}
	m.otherAddrs = append(slices.DeleteFunc(slices.Clone(m.otherAddrs), same), ip)
	if len(m.otherAddrs) > maxOthers {
		m.otherAddrs = m.otherAddrs[1:]
	}
}

// answered handles an answer to a probe.
func (m receiving) answered(now time.Time, e Answered) {
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
	if e.Proof >= BySystem || e.Proof >= ByEcho && !m.addrs.haveTCP() || a != nil && a.Guest() {
		p.osSeen = now
	}
	switch {
	case !proved:
		p.bareAnswer = now
		if a != nil && e.Proof == ByNeighbor && !m.NICAnswers() {
			m.addrs.yield(now, a) // the readers stopped answering for it already
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

// provedUp handles a proof of life at ip. a is nil unless ip is registered.
func (m receiving) provedUp(now time.Time, ip netip.Addr, a *address) {
	switch {
	case a != nil:
		m.atOwn, m.elsewhere = now, false
	case !ip.IsLinkLocalUnicast(): // a machine has one on any network
		m.atOther, m.other = now, ip
	}
	switch m.state {
	case Awake:
		m.presence.next = m.watching().nextWatch(now)
		m.watching().endInquiry()
		m.watching().findElsewhere(now)
	case Settling:
		m.settling().answeredSettling(now)
	case Asleep:
		if m.kind != bySilence { // otherwise it may have been up all the time
			m.kind = byFrame
		}
		m.settling().answeredSettling(now)
	case Waking:
		if a != nil && m.wake.attempts > 0 {
			m.waking().enterArriving(now)
		}
	}
}
