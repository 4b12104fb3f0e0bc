package machine

import "time"

func (m waking) enterArriving(now time.Time) {
	w := &m.wake
	w.arrived, w.ready = now, nil
	m.presence = doubt(now)
	for i := range m.addrs.all {
		m.addrs.all[i].inUse = false
	}
	if w.attempts > 0 {
		m.lastWake.Boot = now.Sub(w.firstMagic)
	}
	m.move(now, Arriving, WhyArrived)
	m.stopAnnouncing()
	m.addrs.yieldAll(now)
	m.checkServices()
	m.tickArriving(now)
}

func (m waking) tickArriving(now time.Time) {
	m.presence.count()
	switch {
	case m.off(now, m.policy.ProbeMisses, startSilence):
		m.bootFirmwareSilent(now)
	case !now.Before(m.arrivalDeadline(now)):
		m.finishArrival(now, WhyNotReady)
	default:
		m.probeArriving(now)
	}
}

// bootFirmwareSilent goes back to Waking: only boot firmware had answered. The rounds
// of magic packets continue.
func (m waking) bootFirmwareSilent(now time.Time) {
	w := &m.wake
	if w.attempts == 0 { // it did not start after all, so the wake begins now
		m.pending = w
		m.kind, m.repeats = byFrame, false
		m.settling().fallAsleep(now, WhySilent)
		return
	}
	m.lastWake.Boot = 0
	m.move(now, Waking, WhyFirmware)
	m.addrs.claimAll(Claim{Quiet: true})
	m.presence = doubt(now)
	w.notBefore = now.Add(m.policy.WakeInterval)
	m.tickWaking(now)
}

// servicesReady handles the result of a check of services.
func (m waking) servicesReady(now time.Time, e ServicesReady) {
	if m.state != Arriving {
		return
	}
	if m.testing() {
		m.reportReady(now, e.Services)
	}
	m.wake.ready = append(m.wake.ready, e.Services...)
	switch {
	case e.All || len(e.Services) > 0 && len(m.notReady()) == 0:
		m.finishArrival(now, WhyReady)
	case len(e.Services) > 0:
		m.do(AdmitClients{Services: e.Services})
	}
}

// finishArrival ends the wake and returns the addresses to the machine.
func (m waking) finishArrival(now time.Time, why Reason) {
	w := &m.wake
	if left := m.notReady(); why == WhyNotReady && len(left) > 0 {
		m.do(LeftUnready{Services: left})
	}
	m.addrs.returnAll(now)
	if w.attempts > 0 {
		l := &m.lastWake
		l.Ready, l.Outcome = now.Sub(w.firstMagic), Served
		if why == WhyNotReady {
			l.Outcome, m.unready = Unready, m.notReady()
		} else if w.counts() {
			m.bootTimes = m.bootTimes.with(l.Boot, now.Sub(w.arrived))
		}
		m.do(WakeEnded{Boot: l.Boot, Ready: l.Ready, Unready: l.Outcome == Unready, Test: !w.counts()})
	} else if !w.flapped {
		m.tally.ExternalStarts++
	}
	m.reported, m.flapsUntil = time.Time{}, now.Add(flapsWithin)
	m.move(now, Awake, why)
}
