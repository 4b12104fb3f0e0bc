package machine

import "time"

func (m waking) knock(now time.Time, e Knocked) {
	if m.Conceded(e.Service.Addr) {
		return // it was on its way when the address was left to another host
	}
	w := wake{
		began:    WakeBegan{Trigger: e.Service.Protocol.trigger(), Service: e.Service, Source: e.Source},
		services: []Service{e.Service},
		knocked:  []Service{e.Service},
	}
	if m.state == Asleep && now.Before(m.retryAt) {
		m.do(DropPackets{}) // what waits now must not fill the hold
		m.do(KnockIgnored(e))
		return
	}
	if !m.arrivedByTest() {
		m.countKnock(e.Service.Port)
		m.endTest(w.began)
	}
	w.retries.note(now)
	switch m.state {
	case Settling:
		if m.pending == nil {
			m.pending = &w
		} else {
			m.pending.add(now, e.Service)
		}
		if m.kind == byFrame && !m.presence.needSystem && m.addrs.yielding() {
			m.settling().joinArrival(now)
		}
	case Asleep:
		m.beginWake(now, w)
	case Waking:
		m.wake.add(now, e.Service)
	case Arriving:
		if m.wake.add(now, e.Service) {
			m.checkServices()
		}
	}
}

func (m waking) requestWake(now time.Time, e WakeRequested) {
	if m.isPaused() {
		return
	}
	w := wake{
		began:     WakeBegan{Trigger: e.Trigger, By: e.By, Test: e.Test},
		services:  m.addrs.requestedServices(e.Test),
		requested: true,
	}
	if !e.Test && !m.arrivedByTest() {
		m.endTest(w.began)
	}
	switch m.state {
	case Awake:
		m.magicOnRequest(e) // which does no harm to a machine that runs
		m.inquire(now, w)
	case Settling:
		if !e.Test { // which is to find the machine off
			m.magicOnRequest(e)
			m.presence.since = now // it may be starting from now on
		}
		if m.pending == nil {
			m.pending = &w
		} else if !e.Test {
			m.pending.join(w)
		}
	case Asleep:
		m.beginWake(now, w)
	case Waking, Arriving:
		if !e.Test && m.wake.join(w) && m.state == Arriving {
			m.checkServices()
		}
	}
}

// inquire asks a machine that counts as awake, which can have been switched off without a
// word. It stays awake if it answers, whether it is watched or not. Otherwise the wake
// begins once it is surely off.
func (m waking) inquire(now time.Time, w wake) {
	if m.pending != nil { // it is asked already
		if m.pending.began.Test && !w.began.Test {
			m.pending = &w // which counts
		}
		return
	}
	m.inquiry = NoInquiry
	if !m.known() || len(m.probedAddrs()) == 0 {
		return // its silence would say nothing
	}
	if m.presence.next.IsZero() {
		m.presence = doubt(now)
	}
	m.pending, m.inquiry = &w, InquiryOpen
	m.presence.next, m.presence.since = now, now // if it was off it starts now
}

// magicOnRequest sends a magic packet to a machine that does not sleep as far as is
// known. That is no wake, and the packet is none of a wake's attempts.
func (m waking) magicOnRequest(e WakeRequested) {
	m.do(MagicRequested{Trigger: e.Trigger, By: e.By, State: m.state})
	m.sendMagic(1, false)
}
