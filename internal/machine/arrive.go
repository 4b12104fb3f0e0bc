package machine

import (
	"slices"
	"time"
)

func (m woken) enterArriving(now time.Time) {
	w := &m.wake
	w.arrived = now
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
	m.handOver()
	m.tickArriving(now)
}

// handOver tells for which services clients wait. At an address that was left to
// another host the machine will never answer, and it may have registered anew.
func (m woken) handOver() {
	m.do(HandOver{Services: slices.DeleteFunc(slices.Clone(m.wake.services), func(s Service) bool {
		return m.Conceded(s.Addr) || !m.spec.Serves(s)
	})})
}

func (m woken) tickArriving(now time.Time) {
	m.presence.count()
	switch {
	case m.off(now, m.policy.ProbeMisses, startSilence):
		m.wasFirmware(now)
	case m.unready(now):
		m.arrive(now, WhyNotReady)
	default:
		m.askArriving(now)
	}
}

// wasFirmware takes a machine back that is silent again. Its operating system gets
// its time: the attempts go on from where they were.
func (m woken) wasFirmware(now time.Time) {
	w := &m.wake
	if w.attempts == 0 { // it did not start after all, so the wake begins now
		m.pending = w
		m.settling, m.repeats = spoke, false
		m.inDoubt().fallAsleep(now, WhySilent)
		return
	}
	m.lastWake.Boot = 0
	m.move(now, Waking, WhyFirmware)
	m.addrs.claimAll(Claim{Quiet: true})
	m.presence = doubt(now)
	w.notBefore = now.Add(m.policy.WakeInterval)
	m.tickWaking(now)
}

// servicesReady takes in which services can take their clients.
func (m woken) servicesReady(now time.Time, e ServicesReady) {
	if m.state != Arriving {
		return
	}
	if m.testing() {
		m.tellReady(now, e.Services)
	}
	switch {
	case e.All:
		m.arrive(now, WhyReady)
	case len(e.Services) > 0:
		m.do(AdmitClients{Services: e.Services})
	}
}

// arrive ends the wake: the machine has its addresses back.
func (m woken) arrive(now time.Time, why Reason) {
	w := &m.wake
	m.addrs.returnAll(now)
	if w.attempts > 0 {
		l := &m.lastWake
		l.Ready, l.Outcome = now.Sub(w.firstMagic), Served
		if why == WhyNotReady {
			l.Outcome = Unready
		} else if w.counts() {
			m.takes = m.takes.with(l.Boot, now.Sub(w.arrived))
		}
		m.do(WakeEnded{Boot: l.Boot, Ready: l.Ready, Unready: l.Outcome == Unready, Test: !w.counts()})
	} else if !w.flapped {
		m.tally.ExternalStarts++
	}
	m.reported, m.flapsUntil = time.Time{}, now.Add(flapsWithin)
	m.move(now, Awake, why)
}
