package machine

import "time"

// register handles a registration, in every state.
func (m registering) register(now time.Time, e Registered) {
	m.heard, m.registered = now, now
	m.failures, m.retryAt, m.reported = 0, time.Time{}, time.Time{}
	m.elsewhere = false
	m.endSleep(now)
	if m.isPaused() {
		m.pausing().register(e)
		return
	}
	if !e.Here {
		m.prepareSleep(now)
	}
	if m.state == Asleep { // closed with the power figures of before
		m.account(now.Sub(m.since), now)
		m.since = now
	}
	m.takeSpec(e)
	if e.Here {
		m.isHere(now, e.Repeated)
		return
	}
	m.report(now, Settling, WhyRegistered, e.Repeated)
	m.kind, m.presence = bySaid, doubt(now)
}

// prepareSleep returns the addresses to a machine that is up and about to sleep.
func (m registering) prepareSleep(now time.Time) {
	switch m.state {
	case Awake:
		m.pending = nil // it was up when the wake was requested
	case Waking:
		m.waking().postponeWake() // clients still wait: wake it once it is off
	case Arriving:
		// A machine that was woken and sleeps again at once is not woken again for
		// the same knock, or this would repeat for ever.
		if m.wake.attempts == 0 {
			m.waking().postponeWake()
		}
		m.do(DropPackets{})
	}
	m.addrs.returnAddresses(now)
}

// isHere handles the registration of a machine that is up and asks to be monitored.
func (m registering) isHere(now time.Time, repeated bool) {
	switch m.state {
	case Awake:
		m.watching().endInquiry()
		m.watching().beginWatch(now)
		if !repeated {
			m.do(WatchBegan{})
		}
	case Waking:
		if m.wake.attempts > 0 {
			m.waking().enterArriving(now)
			return
		}
		m.waking().postponeWake()
		m.kind = byFrame
		if !m.settling().joinArrival(now) {
			m.settling().startedExternally(now)
		}
	case Arriving:
		m.presence.prove(now)
		m.waking().checkServices()
	case Asleep:
		m.kind = byFrame
		m.settling().startedExternally(now)
	case Settling:
		if m.kind == bySaid { // it had registered to sleep
			m.kind, m.repeats = bySilence, false
		}
		m.settling().answeredSettling(now)
	}
}
