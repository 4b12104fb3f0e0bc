package machine

import "time"

// A test is a wake that shows whether waking works. It counts neither as a wake nor as
// a failure. A client or a requester that joins it while the machine is off makes it
// a wake of its own.

// requested returns the services that a wake waits for which was asked for, and with
// guests those of guests: a UDP service can only be asked with the datagram of a client.
func (as *addresses) requestedServices(guests bool) (all []Service) {
	for i := range as.all {
		a := &as.all[i]
		if a.reason != "" || a.standing == Conceded || a.Hosted() && !guests {
			continue
		}
		for _, p := range a.Ports {
			if p.Protocol == TCP {
				all = append(all, Service{Addr: a.IP, Port: p})
			}
		}
	}
	return all
}

// testing reports whether the present wake is a test.
func (m *Machine) testing() bool {
	return (m.state == Waking || m.state == Arriving) && m.wake.began.Test
}

// counts reports whether a wake counts, or what happens without any.
func (w *wake) counts() bool { return w == nil || !w.began.Test }

// arrivedByTest reports whether a test has brought the machine up: a client that comes
// then has not woken it.
func (m *Machine) arrivedByTest() bool { return m.state == Arriving && m.testing() }

// endTest makes a test the wake of the one that joins it, and counts it: its failure is
// one for that client.
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

// tellReady tells of services that can take clients in a test.
func (m waking) reportReady(now time.Time, services []Service) {
	for _, s := range services {
		m.do(ServiceReady{Service: s, After: now.Sub(m.wake.firstMagic)})
	}
}
