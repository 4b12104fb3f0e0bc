package machine

import "slices"

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

// waitedFor returns the services that are waited for. At an address that was left to
// another host the machine will never answer, and it may have registered anew.
func (m waking) waitedFor() []Service {
	return slices.DeleteFunc(slices.Clone(m.wake.services), func(s Service) bool {
		return m.Conceded(s.Addr) || !m.spec.Serves(s)
	})
}

// handOver tells which services are waited for.
func (m waking) checkServices() { m.do(CheckServices{Services: m.waitedFor()}) }

// notReady returns those of them that cannot take clients yet. What no client knocked at
// may be ready at another address of the same host instead: the requester of a wake can
// use either.
func (m waking) notReady() []Service {
	w := &m.wake
	return slices.DeleteFunc(m.waitedFor(), func(s Service) bool {
		either := !w.began.Test && !slices.Contains(w.knocked, s)
		return slices.ContainsFunc(w.ready, func(r Service) bool {
			return r == s || either && r.Port == s.Port && m.spec.Owner(r.Addr) == m.spec.Owner(s.Addr)
		})
	})
}
