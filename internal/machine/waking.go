package machine

import "time"

// After failed wakes, knocks do not wake the machine for a growing pause. The first
// failure may be an accident, so the next knock wakes again.
const (
	firstPause   = time.Minute
	longestPause = time.Hour
)

// pause returns how long knocks do not wake a machine after so many failed wakes in a
// row.
func pause(failures int) time.Duration {
	if failures < 2 {
		return 0
	}
	return min(firstPause<<min(failures-2, 10), longestPause)
}

func (m waking) beginWake(now time.Time, w wake) {
	w.attempts = 0
	w.nextMagic = now
	if earliest := m.claimAt.Add(m.policy.Holdoff); earliest.After(now) {
		w.nextMagic = earliest
	}
	w.began.Repeated = m.failures > 0 && w.counts() && !w.requested // its requester waits for the event
	if !w.began.GoesOn {
		m.countWake(now, &w)
	}
	m.do(w.began)
	w.began.GoesOn = true // if it has to begin again
	m.wake = w
	m.presence = presence{}
	why := WhyKnock
	if !w.began.Service.Addr.IsValid() {
		why = WhyRequested
	}
	m.report(now, Waking, why, w.began.Repeated)
	m.tickWaking(now)
}

func (m waking) tickWaking(now time.Time) {
	w := &m.wake
	if m.failed(now) {
		m.failWake(now)
		return
	}
	if !now.Before(w.nextMagic) {
		m.continueRounds(now)
	}
	m.probeArriving(now)
	m.reclaimYielded(now)
}

// heardWaking handles a frame of a machine that is being woken. A test of an address
// means that it starts; other frames make the next probe due.
func (m waking) heardWaking(now time.Time, a *address, e Heard) {
	switch {
	case m.wake.attempts == 0:
		// No magic packet was sent yet: an external start.
		m.postponeWake()
		m.settling().enterSettling(now, WhySpoke, byFrame)
		m.presence = doubt(now)
		m.settling().heardSettling(now, a, false)
	case a != nil && e.Sign == Tests:
		m.addrs.yield(now, a)
		m.enterArriving(now)
	case a != nil:
		m.addrs.yield(now, a)
		m.probeSoon(Pace(0, m.pace, arrivalPace))
	default:
		m.probeSoon(Pace(0, m.pace, arrivalPace))
	}
}

func (m waking) failWake(now time.Time) {
	if now.Sub(m.atOther) < seekTime {
		m.foundElsewhere(now)
		return
	}
	m.lastWake.Outcome = GivenUp
	test := m.testing()
	repeated := m.failures > 0 && !test && !m.wake.requested
	if !test {
		m.tally.Failures[m.wake.began.Trigger]++
		m.failures++
		m.retryAt = now.Add(pause(m.failures))
	}
	m.do(WakeFailed{Trigger: m.wake.began.Trigger, Attempts: m.wake.attempts, Repeated: repeated, Test: test})
	m.do(DropPackets{})
	if m.policy.Keep || test {
		m.report(now, Asleep, WhyAttemptsGone, repeated)
		m.addrs.recheckOwn(now)
		if m.addrs.yielding() { // its last frame is still in doubt
			m.settling().heardAsleep(now, nil, false)
		}
		return
	}
	m.addrs.returnAddresses(now)
	m.addrs.endReturns()
	m.move(now, Awake, WhyAttemptsGone)
	m.do(Forget{Reason: "wake failed and wake.keep is false"})
}

// foundElsewhere ends a wake whose machine is up at another address.
func (m waking) foundElsewhere(now time.Time) {
	m.do(DropPackets{})
	m.addrs.returnAll(now)
	m.move(now, Awake, WhyElsewhere)
	m.elsewhere = true
	m.do(Elsewhere{Addr: m.other})
}
