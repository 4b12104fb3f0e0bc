package machine

import "slices"

// requestedServices returns the services that a requested wake waits for: all TCP
// services, with guests also those of virtual machines. A UDP service can only be
// probed with the datagram of a client.
func (as *addresses) requestedServices(guests bool) (all []Service) {
	for i := range as.all {
		a := &as.all[i]
		if a.reason != "" || a.standing == Conceded || a.Guest() && !guests {
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

// waitedFor returns the services that the wake waits for. It leaves out those that are
// no longer registered, and those at conceded addresses.
func (m waking) waitedFor() []Service {
	return slices.DeleteFunc(slices.Clone(m.wake.services), func(s Service) bool {
		return m.Conceded(s.Addr) || !m.spec.Serves(s)
	})
}

// checkServices starts the check of the services that the wake waits for.
func (m waking) checkServices() { m.do(CheckServices{Services: m.waitedFor()}) }

// notReady returns the services of waitedFor that are not ready. A service that no
// client knocked at may be ready at another address of the same host instead.
func (m waking) notReady() []Service {
	w := &m.wake
	return slices.DeleteFunc(m.waitedFor(), func(s Service) bool {
		either := !w.began.Test && !slices.Contains(w.knocked, s)
		return slices.ContainsFunc(w.ready, func(r Service) bool {
			return r == s || either && r.Port == s.Port && m.spec.Owner(r.Addr) == m.spec.Owner(s.Addr)
		})
	})
}
