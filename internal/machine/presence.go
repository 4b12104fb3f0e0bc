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

	// testTime bounds how long tests of addresses put the verdict off: a test is
	// over in 9 s (RFC 5227 section 1.1). Forged ones must not do so for ever.
	testTime = 10 * time.Second

	// answerTime is how long an answer may take to be one to a question of ours.
	answerTime = 3 * time.Second

	// maxOthers bounds the addresses that a machine is asked for beside its own.
	maxOthers = 2
)

// presence is whether a machine is up, as far as it was proved by answers to
// questions of ours. Frames that merely arrive decide nothing.
type presence struct {
	next   time.Time // of the next question; zero: none is due
	asked  time.Time // of the question that is open; zero: none is
	last   time.Time // of the last question
	misses int       // questions in a row without a proof of life
	silent int       // of these, questions without any answer
	since  time.Time // silence counts from here: the last proof, or when the doubt began
	began  time.Time // of the present doubt
	bare   time.Time // last answer that proved too little
	system time.Time // last sign of an operating system
	deep   bool      // only what an operating system answers is a proof
	unsent bool      // no proof came since a question could not be sent
}

// doubt returns a presence of which nothing is known, with a question due now.
func doubt(now time.Time) presence {
	return presence{next: now, since: now, began: now, system: now}
}

// count closes the question that is open.
func (p *presence) count() {
	switch {
	case p.asked.IsZero():
		return
	case p.bare.Before(p.asked):
		p.silent++
	default:
		p.silent = 0
	}
	p.misses++
	p.asked = time.Time{}
}

// prove takes a proof of life. It answers the question that is open, so that what
// comes later does not put off the next one.
func (p *presence) prove(now time.Time) {
	p.since, p.began, p.asked = now, now, time.Time{}
	p.misses, p.silent, p.unsent = 0, 0, false
}

// test takes a test of an address: the machine may pause before the next frame.
func (p *presence) test(now time.Time) {
	if now.Sub(p.began) < testTime {
		p.since = now
	}
}

// excuse has the silence so far count for nothing.
func (p *presence) excuse(now time.Time) {
	p.asked, p.since = time.Time{}, now
	p.misses, p.silent, p.unsent = 0, 0, true
}

// off reports whether so many questions in a row went without a proof, and the
// last one is long ago enough.
func (p *presence) off(now time.Time, misses int, silence time.Duration) bool {
	return p.misses >= misses && now.Sub(p.since) >= silence
}

// ask sends a question about the addresses.
func (m *Machine) ask(now time.Time, addrs []netip.Addr, broadcast bool) {
	p := &m.presence
	p.asked, p.last = now, now
	m.do(Probe{Addrs: addrs, Broadcast: broadcast, System: m.Wanted() > ByNeighbor})
}

// Wanted returns the least proof that counts. Where a network card or management
// firmware may answer for a machine that sleeps, only what an operating system
// sends does.
func (m *Machine) Wanted() Proof {
	switch {
	case !m.presence.deep && !m.CardAnswers():
		return ByNeighbor
	case m.hasTCP():
		return BySystem
	}
	return ByEcho
}

func (m *Machine) hasTCP() bool {
	return slices.ContainsFunc(m.spec.Monitor, func(a Address) bool {
		return slices.ContainsFunc(a.Ports, func(p Port) bool { return p.Protocol == TCP })
	})
}

// CardAnswers reports whether something is known to answer for the machine while
// it sleeps, and it is to be claimed all the same.
func (m *Machine) CardAnswers() bool { return m.card && m.policy.OverrideOffload }

// questioned returns the addresses that the machine is asked for: its own, as far
// as they have a place, and those it spoke from.
func (m *Machine) questioned() []netip.Addr {
	return append(m.addrs.which(func(a *address) bool { return a.reason == "" && a.standing != Conceded }), m.others...)
}

// answered takes an answer.
func (m *Machine) answered(now time.Time, e Answered) {
	p := &m.presence
	a := m.addrs.of(e.Addr)
	if now.Sub(p.last) < answerTime && a != nil && !a.answered {
		a.answered = true
		if a.unproved {
			a.unproved = false
			m.do(AddressWaits{Addr: a.IP})
			m.claimableAgain(now, a)
		}
	}
	if e.Proof >= BySystem || e.Proof >= ByEcho && !m.hasTCP() {
		p.system = now
	}
	switch {
	case e.Proof < m.Wanted():
		p.bare = now
		m.heardBare(now)
		return
	case p.asked.IsZero() || now.Sub(p.asked) >= answerTime:
		m.hear(now, Heard{Addr: e.Addr, Sign: Uses}, true)
		return
	}
	m.heard = now
	m.failures, m.retryAt = 0, time.Time{}
	p.prove(now)
	m.provedUp(now, a)
	if a != nil {
		m.uses(now, a)
	}
}

// provedUp does what follows from a proof of life at one of the machine's
// addresses, or, where a is nil, at another one.
func (m *Machine) provedUp(now time.Time, a *address) {
	if a != nil {
		m.atOwn, m.elsewhere = now, false
	} else {
		m.atOther = now
	}
	switch m.state {
	case Awake:
		m.presence.next = m.nextWatch(now)
		m.pending = nil // it was up when the wake was requested
	case Settling:
		m.answeredSettling(now)
	case Asleep:
		m.settling = spoke
		m.startedExternally(now)
	case Waking:
		if a != nil && m.wake.attempts > 0 {
			m.enterArriving(now)
		}
	}
}

// heardBare takes an answer that a network card may have given. The machine of
// which clients wait is then asked for more.
func (m *Machine) heardBare(now time.Time) {
	if m.state == Settling && m.settling == spoke && m.pending != nil && !m.presence.deep {
		m.presence.deep, m.presence.next = true, now
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
		p.system = now
	}
	if a == nil && e.Sign == Uses && e.Addr.IsValid() {
		m.remember(e.Addr)
	}
	switch m.state {
	case Awake:
		if p.misses > 0 && now.Sub(p.last) >= m.policy.ProbeInterval {
			p.next = now
		}
	case Settling:
		m.heardSettling(now, a, e, unasked)
	case Asleep:
		m.heardAsleep(now, a, e, unasked)
	case Waking:
		m.heardWaking(now, a, e)
	case Arriving:
		if e.Sign == Tests {
			p.test(now)
		}
	}
	switch {
	case a == nil:
	case e.Sign == Tests:
		m.tests(now, a)
	default:
		m.uses(now, a)
	}
}

// remember notes an address that the machine speaks from and did not register: it
// may be up there.
func (m *Machine) remember(ip netip.Addr) {
	if slices.Contains(m.others, ip) {
		return
	}
	same := func(o netip.Addr) bool { return o.Is4() == ip.Is4() }
	m.others = append(slices.DeleteFunc(slices.Clone(m.others), same), ip)
	if len(m.others) > maxOthers {
		m.others = m.others[1:]
	}
}
