package machine

import (
	"slices"
	"time"
)

// register takes in the addresses of a registration. What is known of one that was
// there before stays known.
func (as *addresses) register(monitor []Address) {
	all := make([]address, len(monitor))
	for i, a := range monitor {
		if old := as.of(a.IP); old != nil {
			all[i] = *old
			all[i].answered = old.answered && old.MAC == a.MAC
		}
		all[i].Address = a
	}
	as.all = all
}

// atTheDesk is the part of a life in which the machine registers.
type registering struct{ *Machine }

func (m *Machine) registering() registering { return registering{m} }

// register takes a registration, in every state.
func (m registering) register(now time.Time, e Registered) {
	m.heard, m.registered = now, now
	m.failures, m.retryAt, m.reported = 0, time.Time{}, time.Time{}
	m.elsewhere = false
	m.endSleep(now)
	if m.isPaused() {
		m.pausing().register(now, e)
		return
	}
	if !e.Here {
		m.prepareSleep(now)
	}
	if m.state == Asleep { // closed with the power figures of before
		m.account(now.Sub(m.since), now)
		m.since = now
	}
	m.takeSpec(now, e)
	if e.Here {
		m.isHere(now, e.Repeated)
		return
	}
	m.report(now, Settling, WhyRegistered, e.Repeated)
	m.kind, m.presence = bySaid, doubt(now)
}

// prepareSleep gives everything back to a machine that is up and about to sleep.
func (m registering) prepareSleep(now time.Time) {
	switch m.state {
	case Awake:
		m.pending = nil // it was up when the wake was requested
	case Waking:
		m.waking().postponeWake() // clients still wait: wake it once it has really gone
	case Arriving:
		// One that we woke and that goes to sleep at once is not woken again for
		// the same knock, or it would be for ever.
		if m.wake.attempts == 0 {
			m.waking().postponeWake()
		}
		m.do(DropPackets{})
	}
	m.addrs.returnAddresses(now)
}

// takeSpec takes in the machine's own description and what is known of its
// addresses.
func (m registering) takeSpec(now time.Time, e Registered) {
	for i := range m.addrs.all {
		a := &m.addrs.all[i]
		if a.standing != Own && a.standing != Conceded && !e.Spec.Has(a.IP) {
			m.addrs.endClaim(a)
		}
	}
	m.setSpec(e.Spec)
	m.addrs.register(e.Spec.Monitor)
	for i := range m.addrs.all {
		a := &m.addrs.all[i]
		place := Place{Addr: a.IP}
		if j := slices.IndexFunc(e.Places, func(p Place) bool { return p.Addr == a.IP }); j >= 0 {
			place = e.Places[j]
		}
		before := a.status().Reason
		if a.standing == Conceded {
			a.standing, a.recheck = Own, recheck{}
		}
		a.answered = a.answered || !place.Unproved
		a.reason, a.unproved = place.Reason, !a.answered
		if why := a.status().Reason; why != "" && !(e.Repeated && why == before) {
			m.do(AddressWaits{Addr: a.IP, Reason: why})
		}
	}
}

// isHere takes in that a machine is up and asks to be watched.
func (m registering) isHere(now time.Time, repeated bool) {
	switch m.state {
	case Awake:
		m.endInquiry()
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
		if m.kind == bySaid { // it changed its mind
			m.kind, m.repeats = bySilence, false
		}
		m.settling().answeredSettling(now)
	}
}
