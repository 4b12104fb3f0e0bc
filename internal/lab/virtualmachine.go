package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// AddGuest puts a guest of a machine on the LAN: a virtual machine with a port, a MAC
// and addresses of its own, which lives and dies with the machine. It is up when AddGuest
// returns, as the machine is. From the next start on it is powered on when the network of
// the machine is up, and takes cfg.Boot from there. No magic packet wakes it.
func (l *LAN) AddGuest(of *Machine, cfg MachineConfig) (*Machine, error) {
	if of.cfg.Suspend || of.State() != Awake {
		return nil, fmt.Errorf("guest %s: %s is %s: want a machine that is up, and is shut down to sleep", cfg.Name, of.name, of.State())
	}
	cfg.IgnoreMagic = IgnoreAll
	g, err := l.AddMachine(cfg)
	if err != nil {
		return nil, err
	}
	of.mu.Lock()
	defer of.mu.Unlock()
	of.guests = append(of.guests, g)
	return g, nil
}

func (m *Machine) guestsNow() []*Machine {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.guests)
}

// startGuests powers the guests on.
func (m *Machine) startGuests() {
	for _, g := range m.guestsNow() {
		if err := g.PowerOn(); err != nil && m.lan.ctx.Err() == nil {
			g.log.add(Event{Kind: Failed, Detail: err.Error()})
		}
	}
}

// stopGuests ends the guests, in order if they are up.
func (m *Machine) stopGuests(ctx context.Context) error {
	var failed error
	for _, g := range m.guestsNow() {
		switch g.State() {
		case Asleep:
		case Awake:
			failed = errors.Join(failed, g.Sleep(ctx))
		default:
			failed = errors.Join(failed, g.PowerCut(ctx))
		}
	}
	return failed
}
