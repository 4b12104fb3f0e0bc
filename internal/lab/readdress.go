package lab

import (
	"fmt"
	"net/netip"
	"slices"
)

// Readdress gives a sleeping machine other addresses from its next boot on, as
// when its lease went to another host: as many as it had, each in the place of one
// of the same family. Its services move along.
func (m *Machine) Readdress(addrs ...netip.Prefix) error {
	m.transition.Lock()
	defer m.transition.Unlock()
	old := m.addresses()
	same := len(addrs) == len(old)
	for i := 0; same && i < len(addrs); i++ {
		same = addrs[i].Addr().Is4() == old[i].Addr().Is4()
	}
	if !same {
		return fmt.Errorf("machine %s: new addresses %v: want some like %v", m.name, addrs, old)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state != Asleep || m.suspended {
		return fmt.Errorf("machine %s: new addresses: it is %s, want it shut down", m.name, m.state)
	}
	services := slices.Clone(m.cfg.Services)
	for i, s := range services {
		at := slices.IndexFunc(old, func(p netip.Prefix) bool { return p.Addr() == s.Addr })
		services[i].Addr = addrs[at].Addr()
	}
	m.cfg.Services = services
	m.Host.mu.Lock()
	defer m.Host.mu.Unlock()
	m.addrs = slices.Clone(addrs)
	return nil
}
