package lab

import (
	"fmt"
	"time"

	"nightporter/internal/wait"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// suspendTable is the nftables table that keeps a suspended machine off the
// wire.
const suspendTable = "lab-suspended"

// suspend takes the machine off the wire as it is. Its kernel goes on, but
// no frame of it leaves and none reaches it, except a packet socket:
// its network card.
func (m *Machine) suspend() error {
	if err := m.ns.Do(mute); err != nil {
		return fmt.Errorf("machine %s: suspend: %w", m.name, err)
	}
	known, err := m.known()
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.suspended, m.neighbors = true, known
	m.mu.Unlock()
	// This drops the neighbors and their timers.
	if err := m.setLink(unix.IFF_NOARP, unix.IFF_NOARP); err != nil {
		return err
	}
	m.fallAsleep("suspended")
	return nil
}

// unmute ends a suspension, if there is one: packets pass again.
func (m *Machine) unmute() error {
	m.mu.Lock()
	suspended := m.suspended
	m.suspended = false
	m.mu.Unlock()
	if !suspended {
		return nil
	}
	if err := m.ns.Do(unmute); err != nil {
		return fmt.Errorf("machine %s: end the suspension: %w", m.name, err)
	}
	return nil
}

// mute has the kernel of the calling thread's namespace drop everything that
// comes in or goes out, ARP aside, which is not of the family.
func mute() error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	t := conn.AddTable(&nftables.Table{Name: suspendTable, Family: nftables.TableFamilyINet})
	drop := nftables.ChainPolicyDrop
	for name, hook := range map[string]*nftables.ChainHook{"in": nftables.ChainHookPrerouting, "out": nftables.ChainHookOutput} {
		conn.AddChain(&nftables.Chain{Name: name, Table: t, Type: nftables.ChainTypeFilter,
			Hooknum: hook, Priority: nftables.ChainPriorityRaw, Policy: &drop})
	}
	return conn.Flush()
}

func unmute() error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	conn.DelTable(&nftables.Table{Name: suspendTable, Family: nftables.TableFamilyINet})
	return conn.Flush()
}

// resume brings a suspended machine back, Boot after the power: everything is
// as it was, its connections too.
func (m *Machine) resume(s *session) {
	start := time.Now()
	if !wait.Until(s.ctx, start.Add(m.cfg.Boot)) {
		return
	}
	if err := m.comeBack(s); err != nil && s.ctx.Err() == nil {
		m.log.add(Event{Kind: Failed, Detail: "resume: " + err.Error()})
	}
}

// remember restores the neighbor table that the machine had when it was suspended:
// it need not ask for those whom it knows.
func (m *Machine) remember() error {
	m.mu.Lock()
	neighbors := m.neighbors
	m.mu.Unlock()
	for _, n := range neighbors {
		if err := m.SetNeighbor(n.ip, n.mac); err != nil {
			return err
		}
	}
	return nil
}

func (m *Machine) comeBack(s *session) error {
	if err := m.unmute(); err != nil {
		return err
	}
	if err := m.setLink(0, unix.IFF_NOARP); err != nil {
		return err
	}
	if err := m.remember(); err != nil {
		return err
	}
	if !m.wokeUp(s) {
		return nil
	}
	m.networkUp(nil)
	m.flapLater(s)
	return m.speakUp(nil)
}
