package machine

import "time"

func (m waking) knock(now time.Time, e Knocked) {
	if m.Conceded(e.Service.Addr) {
		return // it was read before the address was conceded
	}
	w := wake{
		began:    WakeBegan{Trigger: e.Service.Protocol.trigger(), Service: e.Service, Source: e.Source},
		services: []Service{e.Service},
		knocked:  []Service{e.Service},
	}
	if m.state == Asleep && now.Before(m.retryAt) {
		m.do(DropPackets{}) // packets that cannot wake must not fill the hold
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
		m.magicOnRequest(e) // harmless to a machine that is up
		m.inquire(now, w)
	case Settling:
		if !e.Test { // a test has to find the machine off
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

// inquire probes a machine that counts as awake, because a wake was requested: it may
// be off without having registered. If it answers it stays awake. Otherwise the wake
// begins once the machine is off.
func (m waking) inquire(now time.Time, w wake) {
	if m.pending != nil { // it is probed already
		if m.pending.began.Test && !w.began.Test {
			m.pending = &w // a wake that counts replaces a test
		}
		return
	}
	m.inquiry = NoInquiry
	if !m.known() || len(m.probedAddrs()) == 0 {
		return // its silence would prove nothing
	}
	if m.presence.next.IsZero() {
		m.presence = doubt(now)
	}
	m.pending, m.inquiry = &w, InquiryOpen
	m.presence.next, m.presence.since = now, now // silence counts from the magic packet
}

// magicOnRequest sends a magic packet to a machine that does not sleep as far as is
// known. It is neither a wake nor an attempt of one.
func (m waking) magicOnRequest(e WakeRequested) {
	m.do(MagicRequested{Trigger: e.Trigger, By: e.By, State: m.state})
	m.sendMagic(1, false)
}
