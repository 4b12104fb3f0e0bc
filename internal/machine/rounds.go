package machine

import "time"

// Magic packets of the first round are repeated: many network cards receive nothing for
// some seconds after their machine went off, or lose packets.
const (
	denseFor    = 15 * time.Second
	firstRepeat = 500 * time.Millisecond
	thenRepeat  = time.Second
)

// nextMagic returns the time of the next magic packet after the first one, if the last
// one was sent since after the first.
func nextMagic(since, interval time.Duration) time.Duration {
	round := (since/interval + 1) * interval
	switch {
	case since >= interval || since >= denseFor-thenRepeat:
		return round
	case since < thenRepeat:
		return min(since+firstRepeat, round)
	}
	return min(since+thenRepeat, round)
}

// continueRounds sends the next magic packet. After the last round they go on while a
// client or requester waits: the card may not have received any. For a requester they
// end at wake.timeout.
func (m waking) continueRounds(now time.Time) {
	w, interval := &m.wake, m.policy.WakeInterval
	first := w.attempts == 0
	if first {
		w.firstMagic = now
	}
	since := now.Sub(w.firstMagic)
	switch round := int(since/interval) + 1; {
	case round == w.attempts:
		m.magic(round, true)
	case round <= m.policy.WakeAttempts || w.retries.going(now) || w.requested && since < m.policy.WakeTimeout:
		w.attempts, m.lastWake.Attempts = round, round
		m.magic(round, false)
	}
	w.nextMagic = w.firstMagic.Add(nextMagic(since, interval))
	if first {
		m.presence = doubt(now)
		m.stopAnnouncing()
	}
}

// magic sends a magic packet of a wake and counts it.
func (m waking) magic(attempt int, again bool) {
	m.tally.Attempts++
	m.sendMagic(attempt, again)
}

func (m waking) sendMagic(attempt int, again bool) {
	m.do(SendMagic{Attempt: attempt, Again: again, Repeated: m.failures > 0 && !m.testing()})
}

// stopAnnouncing ends the announcements of the claim when the machine boots: an
// announcement would fail its duplicate address detection. The machine waits up to a
// second between the start of a test and its first packet (Linux,
// router_solicitation_delay; RFC 5227 section 1.1, PROBE_WAIT), so stopping at that
// packet would be too late.
func (m waking) stopAnnouncing() {
	if held := m.Claimed(); len(held) > 0 {
		m.do(StopAnnouncing{Addrs: held})
	}
}

// failed reports whether the wake has failed: its rounds are over, and 1.5 times the
// longest known boot. While a client or requester waits, wake.timeout must be over
// too.
func (m waking) failed(now time.Time) bool {
	w := &m.wake
	if w.attempts == 0 || now.Before(w.notBefore) {
		return false
	}
	rounds := time.Duration(m.policy.WakeAttempts) * m.policy.WakeInterval
	return now.Sub(w.firstMagic) >= m.patience(w.wanted(now), max(rounds, m.bootTimes.Boot*3/2))
}

// patience returns how long to wait: least, and at least wake.timeout if wanted.
func (m waking) patience(wanted bool, least time.Duration) time.Duration {
	if wanted {
		return max(least, m.policy.WakeTimeout)
	}
	return least
}

// leastWait returns how long to wait for services while no client retries.
func (m waking) leastWait() time.Duration { return max(m.readyTimeout(), m.bootTimes.Services*3/2) }

// readyTimeout returns the longest ready timeout of the services that clients wait
// for.
func (m waking) readyTimeout() (longest time.Duration) {
	if len(m.wake.services) == 0 {
		return m.policy.ReadyTimeout
	}
	for _, s := range m.wake.services {
		d, own := m.spec.ReadyTimeout(s)
		if !own {
			d = m.policy.ReadyTimeout
		}
		longest = max(longest, d)
	}
	return longest
}

// arrivalDeadline returns when the machine is handed over even if services are not
// ready. While clients retry it is no sooner than wake.timeout.
func (m waking) arrivalDeadline(now time.Time) time.Time {
	return m.wake.arrived.Add(m.patience(m.wake.retries.going(now), m.leastWait()))
}

// idleDeadline returns arrivalDeadline for the case that no client retries from now
// on.
func (m waking) idleDeadline(now time.Time) time.Time {
	least := m.wake.arrived.Add(m.leastWait())
	return earlier(m.arrivalDeadline(now), notBefore(m.wake.retries.over(), least))
}
