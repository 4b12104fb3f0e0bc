package machine

import "time"

// move changes the state.
func (m *Machine) move(now time.Time, to State, why Reason) { m.report(now, to, why, false) }

// report changes the state. repeated means that the same was reported lately.
func (m *Machine) report(now time.Time, to State, why Reason, repeated bool) {
	after := now.Sub(m.since)
	if m.state == Asleep {
		m.account(after, now)
	}
	m.do(Moved{From: m.state, To: to, Why: why, After: after, Repeated: repeated})
	m.state, m.since, m.why, m.inquiry = to, now, why, NoInquiry
	if to == Asleep {
		m.presence.next = time.Time{} // some network cards wake on any unicast frame
	}
	m.addrs.stopRechecks()
	if to == Awake {
		m.upSince = now
		m.watching().beginWatch(now)
	}
}
