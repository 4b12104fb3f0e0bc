package lab

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/wait"
)

// boot takes the machine from power-on to its services. It ends with the
// session s.
func (m *Machine) boot(s *session) {
	err := m.comeUp(s, time.Now())
	if err != nil && s.ctx.Err() == nil {
		m.log.add(Event{Kind: Failed, Detail: "boot: " + err.Error()})
	}
}

func (m *Machine) comeUp(s *session, start time.Time) error {
	if err := (bootFirmware{m}).run(s.ctx, start); err != nil {
		return err
	}
	if !wait.Until(s.ctx, start.Add(m.cfg.Boot)) {
		return nil
	}
	ctx, cancel := context.WithTimeout(s.ctx, setupTimeout)
	defer cancel()
	duplicates, err := osNetwork{m}.configure(ctx)
	if err != nil {
		return err
	}
	m.startVirtualMachines() // before it is awake, and may be put to sleep
	if !m.wokeUp(s) {
		return nil
	}
	up := time.Now()
	m.networkUp(duplicates)
	for _, service := range m.Services() {
		if slices.Contains(duplicates, service.Addr) {
			continue
		}
		s.start(func() { (runningService{m, s, service}).openAfter(up) })
	}
	m.flapLater(s)
	return m.speakUp(duplicates)
}

// networkUp logs that the network is configured.
func (m *Machine) networkUp(duplicates []netip.Addr) {
	for _, a := range duplicates {
		m.log.add(Event{Kind: DADFailed, Addr: a, Detail: a.String()})
	}
	m.log.add(Event{Kind: NetworkUp})
}

// speakUp sends the configured packets of a machine that has just got its addresses.
func (m *Machine) speakUp(except []netip.Addr) error {
	if m.cfg.AsksRouter {
		for _, gateway := range gateways() {
			if gateway.Is6() && !m.hasIPv6() || gateway.Is4() && !m.Addr4().IsValid() {
				continue
			}
			if err := (osNetwork{m}).askRouter(netip.AddrPortFrom(gateway, 53)); err != nil {
				return err
			}
		}
	}
	if m.cfg.Announce {
		return osNetwork{m}.announce(except)
	}
	return nil
}

// wokeUp makes the machine awake, unless the power was cut meanwhile.
func (m *Machine) wokeUp(s *session) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.ctx.Err() != nil || m.state != Booting {
		return false
	}
	m.state = Awake
	return true
}
