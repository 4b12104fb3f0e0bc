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

// wanted reports whether a wake goes on until wake.timeout: a client tries, or its
// requester waits.
func (w *wake) wanted(now time.Time) bool { return w.requested || w.retries.going(now) }

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

// patience returns how long something is waited for: least, and wake.timeout where it is
// wanted.
func (m waking) patience(wanted bool, least time.Duration) time.Duration {
	if wanted {
		return max(least, m.policy.WakeTimeout)
	}
	return least
}

// tries tells whether a client still tries.
type retries struct {
	first, last time.Time
}

// A client repeats a SYN after twice the time that it has waited, or sooner (RFC 6298
// section 5.5), and hardly one that it has waited for more than a minute.
const (
	leastPatience = 4 * time.Second
	mostPatience  = 100 * time.Second
)

// note takes in a try.
func (t *retries) note(now time.Time) {
	if t.first.IsZero() {
		t.first = now
	}
	t.last = now
}

// going reports whether a client that has tried again may do so once more.
func (t retries) going(now time.Time) bool { return now.Before(t.over()) }

// over returns when such a client counts as gone, or the zero time where none has tried
// again.
func (t retries) over() time.Time {
	pause := t.last.Sub(t.first) * 3 / 2
	if pause <= 0 {
		return time.Time{}
	}
	return t.last.Add(min(max(pause, leastPatience), mostPatience))
}

// BootTimes is what a machine is known to take: the longest of its wakes, of which an
// eighth fades with each that is faster.
type BootTimes struct {
	Boot     time.Duration // from the first magic packet to its first proof of life
	Services time.Duration // from there to the handover
}

// with returns t and what one more wake took.
func (t BootTimes) with(boot, services time.Duration) BootTimes {
	return BootTimes{Boot: max(boot, t.Boot*7/8), Services: max(services, t.Services*7/8)}
}

// expected reports whether a machine that has booted before is likely to come, if it was
// woken that long ago.
func (t BootTimes) expected(waited time.Duration) bool {
	return waited >= t.Boot*3/4 && waited <= t.Boot*5/4
}
