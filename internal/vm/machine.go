package vm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"

	"nightporter/internal/lab"
)

// A State is the power state of a machine.
type State string

// The power states of a machine.
const (
	Off    State = "off"
	On     State = "on"
	Asleep State = "suspended"
)

// Config describes a machine.
type Config struct {
	Name string
	// Addrs are the machine's addresses on the LAN. The test configures them in the
	// machine.
	Addrs []netip.Prefix
	Image Image
	Dir   string // of its disk and console
	// Files is a directory whose files are on a second disk, LABEL=files.
	Files string
}

// A Machine is a virtual machine on the LAN. The methods of its Host that read a namespace
// do not see into the machine.
type Machine struct {
	*lab.Host
	lan    *lab.LAN
	cfg    Config
	tap    *os.File
	events *events
	unplug context.CancelFunc // stops the watcher on the switch

	power sync.Mutex // held while the power is switched; locked before mu

	mu     sync.Mutex // guards the fields below
	state  State
	board  *board // nil: the machine is off
	closed bool
}

// New adds a machine to the LAN, which is off. A magic packet powers it on, as PowerOn does.
// Close it before the LAN.
func New(ctx context.Context, lan *lab.LAN, cfg Config) (*Machine, error) {
	if err := cfg.Image.overlay(ctx, filepath.Join(cfg.Dir, overlayFile)); err != nil {
		return nil, err
	}
	if cfg.Files != "" {
		if err := filesDisk(ctx, cfg.Files, filepath.Join(cfg.Dir, filesFile)); err != nil {
			return nil, err
		}
	}
	host, tap, err := lan.AddTap(cfg.Name, cfg.Addrs...)
	if err != nil {
		return nil, err
	}
	watching, unplug := context.WithCancel(context.WithoutCancel(ctx))
	m := &Machine{Host: host, lan: lan, cfg: cfg, tap: tap, events: newEvents(), unplug: unplug, state: Off}
	err = lan.SetCable(host, false)
	if err == nil {
		err = lan.WatchMagic(watching, host.MAC(), m.onMagic)
	}
	if err != nil {
		unplug()
		return nil, errors.Join(err, tap.Close())
	}
	return m, nil
}

// State returns the power state of the machine.
func (m *Machine) State() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}

// agent returns the connection to the agent of the machine, or nil if the machine is off.
func (m *Machine) agent() *peer {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.board == nil {
		return nil
	}
	return m.board.commands
}

// Len returns the number of events so far, for Wait.
func (m *Machine) Len() int { return len(m.Log()) }

// Log returns the events of the machine.
func (m *Machine) Log() []Event {
	all, _ := m.events.since(0)
	return all
}

// Wait returns the first event of a kind, past or future, after the first n.
func (m *Machine) Wait(ctx context.Context, n int, kind EventKind) (Event, error) {
	e, err := m.events.wait(ctx, n, kind)
	if err != nil {
		return e, fmt.Errorf("%s: %w", m.Name(), err)
	}
	return e, nil
}

// Console returns the output on the machine's serial port since New, over all boots.
func (m *Machine) Console() string {
	b, err := os.ReadFile(filepath.Join(m.cfg.Dir, consoleFile))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// PowerOn powers on a machine that is off.
func (m *Machine) PowerOn() error {
	m.power.Lock()
	defer m.power.Unlock()
	if state := m.State(); state != Off || m.gone() {
		return fmt.Errorf("%s: power on: found it %s, expected off and not closed", m.Name(), state)
	}
	// A card drops frames while the machine is off; a tap would queue them.
	if err := m.lan.SetCable(m.Host, true); err != nil {
		return err
	}
	b, err := m.start()
	if err != nil {
		return fmt.Errorf("%s: power on: %w", m.Name(), err)
	}
	m.mu.Lock()
	m.board, m.state = b, On
	m.mu.Unlock()
	m.events.add(PoweredOn, "")
	b.release()
	return nil
}

// Resume wakes a machine that is suspended.
func (m *Machine) Resume(ctx context.Context) error {
	m.power.Lock()
	defer m.power.Unlock()
	m.mu.Lock()
	b, state := m.board, m.state
	m.mu.Unlock()
	if state != Asleep {
		return fmt.Errorf("%s: resume: found it %s, expected suspended", m.Name(), state)
	}
	if err := m.lan.SetCable(m.Host, true); err != nil {
		return err
	}
	return b.monitor.call(ctx, "system_wakeup", nil, nil)
}

// PowerCut powers a machine off without notice to its system, and returns when the machine
// is off.
func (m *Machine) PowerCut(ctx context.Context) error {
	m.power.Lock()
	defer m.power.Unlock()
	m.mu.Lock()
	b := m.board
	m.mu.Unlock()
	if b == nil {
		return nil
	}
	// quit makes the emulator end in order, so that the disk's file is complete.
	if err := b.monitor.call(ctx, "quit", nil, nil); err != nil && !errors.Is(err, errHungUp) {
		return err
	}
	select {
	case <-b.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: power cut: still on: %w", m.Name(), context.Cause(ctx))
	}
}

// onMagic does what the board does when the card receives a magic packet.
func (m *Machine) onMagic(by lab.Transport) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	state := m.State()
	m.events.add(MagicPacket, fmt.Sprintf("over %s, the machine is %s", by, state))
	var err error
	switch state {
	case Off:
		err = m.PowerOn()
	case Asleep:
		err = m.Resume(ctx)
	}
	if err != nil && !m.gone() {
		m.events.add(Failed, err.Error())
	}
}

func (m *Machine) gone() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.closed
}

// Close stops the machine immediately and removes it from the LAN.
func (m *Machine) Close() error {
	m.unplug()
	m.power.Lock()
	defer m.power.Unlock()
	m.mu.Lock()
	m.closed = true
	b := m.board
	m.mu.Unlock()
	if b != nil {
		b.kill()
	}
	return m.tap.Close()
}
