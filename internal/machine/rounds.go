package machine

import "time"

// Magic packets of the first round are repeated, since many cards hear nothing for
// some seconds after their machine went off, or not every packet.
const (
	denseFor    = 15 * time.Second
	firstRepeat = 500 * time.Millisecond
	thenRepeat  = time.Second
)

// nextMagic returns how long after its first magic packet a wake sends the next one,
// if the last went out that long after it.
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

// continueRounds sends the next magic packet. After the last round they go on while
// it is waited for: the card may have been deaf all the time. For a requester they end
// with wake.timeout, or a machine that goes off again each time would never be left alone.
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

// stopAnnouncing ends the announcements of a claim whose machine boots: any of them
// would fail the test of an address. The machine takes up to a second between the
// moment when that begins and its first packet (Linux, router_solicitation_delay;
// RFC 5227 section 1.1, PROBE_WAIT), so that stopping then would be too late.
func (m waking) stopAnnouncing() {
	if held := m.Claimed(); len(held) > 0 {
		m.do(StopAnnouncing{Addrs: held})
	}
}

// inVain reports whether a wake has failed: its rounds are over, and the longest boot
// that is known of the machine as well, by half as much again. While it is waited for,
// wake.timeout is.
func (m waking) failed(now time.Time) bool {
	w := &m.wake
	if w.attempts == 0 || now.Before(w.notBefore) {
		return false
	}
	rounds := time.Duration(m.policy.WakeAttempts) * m.policy.WakeInterval
	return now.Sub(w.firstMagic) >= m.patience(w.wanted(now), max(rounds, m.bootTimes.Boot*3/2))
}

// patience returns how long something is waited for: least, and wake.timeout where it is
// wanted.
func (m waking) patience(wanted bool, least time.Duration) time.Duration {
	if wanted {
		return max(least, m.policy.WakeTimeout)
	}
	return least
}

// leastWait returns how long services are waited for although no client tries.
func (m waking) leastWait() time.Duration { return max(m.readyTimeout(), m.bootTimes.Services*3/2) }

// readyTimeout returns how long the slowest of the services may take that clients wait
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

// givesUp returns when a machine that is up is handed over although a service is not
// ready. Clients that try wait for their services as long as for a wake.
func (m waking) arrivalDeadline(now time.Time) time.Time {
	return m.wake.arrived.Add(m.patience(m.wake.retries.going(now), m.leastWait()))
}

// givesUpIdle is givesUp if no client tries again from now on.
func (m waking) idleDeadline(now time.Time) time.Time {
	least := m.wake.arrived.Add(m.leastWait())
	return earlier(m.arrivalDeadline(now), notBefore(m.wake.retries.over(), least))
}
