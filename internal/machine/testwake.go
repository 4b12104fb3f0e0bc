package machine

import "time"

// A test is a wake that shows whether waking works. It counts neither as a wake nor as
// a failure, and waits for all TCP services. A client that joins it makes it count.

// tested returns the services that a test waits for: a UDP service can only be asked
// with the datagram of a client.
func (as *addresses) tested() (all []Service) {
	for i := range as.all {
		a := &as.all[i]
		if a.reason != "" || a.standing == Conceded {
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

// endTest has a test count that a client joins: its failure is one for that client.
func (m woken) endTest() {
	w := m.current()
	if w.counts() {
		return
	}
	w.began.Test = false
	if w.began.GoesOn { // it has begun, and was not counted then
		m.tally.Wakes[w.began.Trigger]++
		m.lastWake.Test = false
	}
}

// tellReady tells of services that can take clients in a test.
func (m woken) tellReady(now time.Time, services []Service) {
	for _, s := range services {
		m.do(ServiceReady{Service: s, After: now.Sub(m.wake.firstMagic)})
	}
}
