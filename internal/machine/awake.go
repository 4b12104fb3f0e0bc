package machine

import "time"

func (m watching) tickAwake(now time.Time) {
	if ips := m.addrs.tickReturns(now); len(ips) > 0 {
		m.probe(now, ips, false)
	}
	if m.tickForget(now) || m.pausing().tick(now) {
		return
	}
	p := &m.presence
	if p.next.IsZero() || now.Before(p.next) {
		return
	}
	p.count()
	if now.Before(m.blindUntil) {
		p.excuse(now)
	}
	if m.flapped(now) {
		m.beginFlap(now)
		return
	}
	if p.misses >= m.policy.ProbeMisses && now.Sub(p.since) >= m.leastSilence(now) {
		m.stoppedAnswering(now)
		return
	}
	m.findElsewhere(now)
	if m.policy.OverrideOffload && !m.nicAnswers && now.Sub(p.osSeen) >= m.policy.ProbeTimeout {
		p.needSystem = true // its card or firmware may answer for it
	}
	addrs := m.probedAddrs()
	if m.watchPause(now) == 0 && m.pending == nil || len(addrs) == 0 {
		m.presence, m.pending, m.inquiry = presence{}, nil, NoInquiry
		return
	}
	m.probe(now, addrs, false)
	p.next = now.Add(m.policy.ProbeInterval) // an answer puts it off
	if m.mayFlap(now) {
		p.next = earlier(p.next, now.Add(flapPace))
	}
	if pause := m.watchPause(now); pause > 0 && now.Before(m.blindUntil) {
		p.next = earlier(now.Add(pause), m.blindUntil)
	}
}

// flapped reports whether the machine lost its network shortly after it arrived. A
// machine that tests an address may pause (RFC 5227 section 1.1).
func (m watching) flapped(now time.Time) bool {
	return m.mayFlap(now) && m.off(now, flapMisses, flapSilence) && !now.Before(m.blindUntil) && now.Sub(m.tested) >= startSilence
}

// beginFlap claims the addresses of a machine that lost its network, so that new
// clients wait as for a sleeping one.
func (m watching) beginFlap(now time.Time) {
	m.move(now, Settling, WhyFlap)
	m.kind = byFlap
	m.addrs.claimAll(Claim{Quiet: true})
	m.presence.next = now
}

// leastSilence returns the least silence before a machine settles. Shortly after its
// arrival it is probed more often.
func (m watching) leastSilence(now time.Time) time.Duration {
	if m.mayFlap(now) {
		return time.Duration(m.policy.ProbeMisses) * m.policy.ProbeInterval
	}
	return 0
}

// stoppedAnswering makes a machine settle that left probes unanswered. They count for
// the settling as well.
func (m watching) stoppedAnswering(now time.Time) {
	m.settling().enterSettling(now, WhyUnanswered, bySilence)
	m.presence.next = now
}

// receptionLost handles that the porter received nothing for a while. A sleeping
// machine may have been started meanwhile.
func (m watching) receptionLost(now time.Time, e ReceptionLost) {
	m.blindUntil = e.Until
	if m.state == Asleep {
		m.probe(now, m.probedAddrs(), false)
	}
}
