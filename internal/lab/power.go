package lab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jsimonetti/rtnetlink/v2"
	"golang.org/x/sys/unix"

	"nightporter/internal/wait"
)

// Sleep shuts the machine down in order: services end (their connections with
// a FIN), addresses go, then it is asleep. The link stays up. With
// MachineConfig.Suspend it is suspended instead.
func (m *Machine) Sleep(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("machine %s: sleep: %w", m.name, err)
	}
	m.transition.Lock()
	defer m.transition.Unlock()
	s, err := m.leave(Awake)
	if err != nil {
		return err
	}
	if m.cfg.Suspend {
		return m.suspend()
	}
	return m.shutDown(s)
}

// SleepAfter begins a shutdown (never a suspension) that takes d: until then the machine serves as
// before, and only its state shows it. It returns at once; AsleepNow follows.
func (m *Machine) SleepAfter(d time.Duration) error {
	at := time.Now().Add(d)
	s, err := m.leave(Awake)
	if err != nil {
		return err
	}
	ok := m.lan.start(func() {
		// A power cut meanwhile ends the session and with it this shutdown.
		if !wait.Until(s.ctx, at) {
			return
		}
		m.transition.Lock()
		defer m.transition.Unlock()
		if s.ctx.Err() != nil {
			return
		}
		if err := m.shutDown(s); err != nil {
			m.log.add(Event{Kind: Failed, Detail: err.Error()})
		}
	})
	if !ok {
		return fmt.Errorf("machine %s: sleep: %w", m.name, errClosed)
	}
	return nil
}

// PowerCut takes the power away, in any state: no FIN, no goodbye. The link
// goes down and comes back, as it does with a card that has standby power.
func (m *Machine) PowerCut(ctx context.Context) error {
	m.transition.Lock()
	defer m.transition.Unlock()
	s, err := m.leave(Awake, ShuttingDown, Booting, Asleep)
	if err != nil {
		return err
	}
	if err := m.setLink(0, unix.IFF_UP); err != nil {
		return err
	}
	s.abort()
	if err := m.stopVirtualMachines(ctx); err != nil {
		return err
	}
	if err := m.deconfigure(); err != nil {
		return err
	}
	if err := m.unmute(); err != nil {
		return err
	}
	if err := m.setLink(unix.IFF_UP, unix.IFF_UP); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	err = m.ns.Netlink(func(c *rtnetlink.Conn) error { return waitLinkUp(ctx, c, Interface) })
	if err != nil {
		return fmt.Errorf("machine %s: %w", m.name, err)
	}
	if err := m.lan.waitPort(m.Host); err != nil {
		return fmt.Errorf("machine %s: %w", m.name, err)
	}
	m.fallAsleep("power cut")
	return nil
}

// PowerOn starts the machine by hand: the same boot as after a magic packet.
func (m *Machine) PowerOn() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.powerOn("by hand")
}

// powerOn starts the boot. The caller holds m.mu.
func (m *Machine) powerOn(reason string) error {
	if m.retired {
		return fmt.Errorf("machine %s: power on: %w", m.name, errClosed)
	}
	if m.state != Asleep {
		return fmt.Errorf("machine %s: power on: it is %s, want %s", m.name, m.state, Asleep)
	}
	m.state = Booting
	m.log.add(Event{Kind: PoweredOn, Detail: reason})
	if m.suspended {
		s := m.session
		s.start(func() { m.resume(s) })
		return nil
	}
	m.session = newSession(m.lan.ctx)
	s := m.session
	s.start(func() { m.boot(s) })
	return nil
}

// leave claims the machine for a shutdown, if it is in one of the states.
func (m *Machine) leave(from ...PowerState) (*session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.retired {
		return nil, fmt.Errorf("machine %s: shut down: %w", m.name, errClosed)
	}
	for _, state := range from {
		if m.state == state {
			m.state = ShuttingDown
			return m.session, nil
		}
	}
	return nil, fmt.Errorf("machine %s: shut down: it is %s, want %v", m.name, m.state, from)
}

func (m *Machine) shutDown(s *session) error {
	if err := m.stopVirtualMachines(m.lan.ctx); err != nil {
		return err
	}
	s.finish()
	err := m.deconfigure()
	s.abort()
	if err != nil {
		return err
	}
	m.fallAsleep("shut down")
	return nil
}

func (m *Machine) fallAsleep(detail string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state = Asleep
	m.ignore, m.hearing = m.cfg.IgnoreMagic, hearing{}
	m.log.add(Event{Kind: AsleepNow, Detail: detail})
}

// deconfigure takes everything away that could make the kernel send. With
// ARP off the kernel also forgets its neighbors and their timers.
func (m *Machine) deconfigure() error {
	err := m.ns.Netlink(func(c *rtnetlink.Conn) error {
		addrs, err := listAddrs(c, m.index)
		if err != nil {
			return err
		}
		for _, a := range addrs {
			if !a.prefix.Addr().Is4() {
				continue
			}
			// A secondary address goes with its primary one.
			err := delAddr(c, m.index, a.prefix)
			if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
				return err
			}
		}
		if err := writeSysctl(sysctlIPv6("disable_ipv6"), "1"); err != nil {
			return err
		}
		return setLinkFlags(c, m.index, unix.IFF_NOARP, unix.IFF_NOARP)
	})
	if err != nil {
		return fmt.Errorf("machine %s: shut down: %w", m.name, err)
	}
	return nil
}

// setLink sets those flags of the interface of mask (unix.IFF_*) that are in
// flags, and clears the rest of mask.
func (m *Machine) setLink(flags, mask uint32) error {
	err := m.ns.Netlink(func(c *rtnetlink.Conn) error { return setLinkFlags(c, m.index, flags, mask) })
	if err != nil {
		return fmt.Errorf("machine %s: %w", m.name, err)
	}
	return nil
}

// sysctlIPv6 names a parameter of the machine's interface.
func sysctlIPv6(name string) string { return "net/ipv6/conf/" + Interface + "/" + name }

// A Flap is an outage of the network card after the machine came up:
// NetworkManager takes down a card with Wake-on-LAN, and configures it anew, after
// a resume that has used it already. The zero Flap is none.
type Flap struct {
	After time.Duration // from NetworkUp until the card goes down
	For   time.Duration // without link and addresses; 0: no flap
}

// flapLater has the session take the card down and up again, if that is configured.
func (m *Machine) flapLater(s *session) {
	if m.cfg.Flap.For == 0 {
		return
	}
	at := time.Now().Add(m.cfg.Flap.After)
	s.start(func() {
		if !wait.Until(s.ctx, at) {
			return
		}
		if err := m.flap(s); err != nil && s.ctx.Err() == nil {
			m.log.add(Event{Kind: Failed, Detail: "flap: " + err.Error()})
		}
	})
}

func (m *Machine) flap(s *session) error {
	if err := m.deconfigure(); err != nil {
		return err
	}
	if err := m.setLink(0, unix.IFF_UP); err != nil {
		return err
	}
	m.log.add(Event{Kind: CardDown})
	goesOn := wait.For(s.ctx, m.cfg.Flap.For)
	if err := m.setLink(unix.IFF_UP, unix.IFF_UP); err != nil || !goesOn {
		return err
	}
	ctx, cancel := context.WithTimeout(s.ctx, setupTimeout)
	defer cancel()
	err := m.ns.Netlink(func(c *rtnetlink.Conn) error { return waitLinkUp(ctx, c, Interface) })
	if err != nil {
		return err
	}
	if err := m.lan.waitPort(m.Host); err != nil {
		return err
	}
	duplicates, err := osNetwork{m}.configure(ctx)
	if err != nil {
		return err
	}
	m.networkUp(duplicates)
	return m.speakUp(duplicates)
}
