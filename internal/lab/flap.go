package lab

import (
	"context"
	"time"

	"nightporter/internal/wait"

	"github.com/jsimonetti/rtnetlink/v2"
	"golang.org/x/sys/unix"
)

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
	duplicates, err := m.configureNetwork(ctx)
	if err != nil {
		return err
	}
	m.networkUp(duplicates)
	return m.speakUp(duplicates)
}
