package machine

import (
	"slices"
	"time"
)

// testing reports whether the present wake is a test: it shows whether waking works, and
// counts neither as a wake nor as a failure. A client or requester that joins it while the
// machine is off turns it into a wake.
func (m waking) testing() bool {
	return (m.state == Waking || m.state == Arriving) && m.wake.began.Test
}

// arrivedByTest reports whether a test brought the machine up. A client that knocks
// then has not woken it.
func (m waking) arrivedByTest() bool { return m.state == Arriving && m.testing() }

// current returns the wake that is pending or under way, or nil.
func (m waking) current() *wake {
	switch m.state {
	case Settling:
		return m.pending
	case Waking, Arriving:
		return &m.wake
	default:
		return nil
	}
}

// countWake counts a wake that began then, and makes it the last wake.
func (m waking) countWake(began time.Time, w *wake) {
	b := w.began
	m.unready = nil
	m.lastWake = LastWake{
		At: began, Trigger: b.Trigger, Service: b.Service, Source: b.Source, By: b.By, Outcome: UnderWay, Attempts: w.attempts, Test: b.Test,
	}
	if w.counts() {
		m.tally.Wakes[b.Trigger]++
	}
}

// countKnock counts a knock, once for each port and wake: clients repeat knocks and
// try several addresses.
func (m waking) countKnock(p Port) {
	if m.state == Awake {
		return
	}
	if w := m.current(); w != nil && slices.ContainsFunc(w.knocked, func(s Service) bool { return s.Port == p }) {
		return
	}
	m.knocks = m.knocks.with(p)
	m.changed = true // a counter must not fall after a crash
}

// endTest turns a test into the wake of the client or requester that joins it, and
// counts that wake.
func (m waking) endTest(joins WakeBegan) {
	w := m.current()
	if w.counts() {
		return
	}
	joins.GoesOn, joins.Repeated = w.began.GoesOn, m.failures > 0 && joins.By == ""
	w.began = joins
	if w.began.GoesOn { // it has begun, and was not counted then
		m.countWake(m.lastWake.At, w)
		m.do(w.began)
	}
}

// reportReady reports services that became ready in a test.
func (m waking) reportReady(now time.Time, services []Service) {
	for _, s := range services {
		m.do(ServiceReady{Service: s, After: now.Sub(m.wake.firstMagic)})
	}
}

// postponeWake keeps the present wake pending until the machine is asleep again.
func (m waking) postponeWake() {
	w := m.wake
	m.pending = &w
}

// noteWakeOver ends a wake under way whose machine came up without it: an external
// start, a registration, or the end of monitoring.
func (m waking) noteWakeOver() {
	if m.lastWake.Outcome == UnderWay && m.state != Waking && m.state != Arriving && m.pending == nil {
		m.lastWake.Outcome = Over
	}
}
