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

// A State is what a machine's power is.
type State string

// The states of a machine's power.
const (
	Off    State = "off"
	On     State = "on"
	Asleep State = "suspended"
)

// Config describes a machine.
type Config struct {
	Name string
	// Addrs are those that the test gives it. They name it on the LAN; nothing in the
	// machine is configured by itself.
	Addrs []netip.Prefix
	Image Image
	Dir   string // for its disk and console
	// Files is a directory whose files the machine has on a second disk, LABEL=files.
	Files string
}

// A Machine is a virtual machine whose card is plugged into the LAN. The methods of
// its Host that look into a namespace find none of its system's there.
type Machine struct {
	*lab.Host
	lan    *lab.LAN
	cfg    Config
	tap    *os.File
	events *events
	unplug context.CancelFunc // ends the watcher on the switch

	power sync.Mutex // held while the power is switched; taken before mu

	mu     sync.Mutex // guards what follows
	state  State
	board  *board // nil when it is off
	closed bool
}

// New puts a machine on the LAN that is off. A magic packet powers it on, as PowerOn
// does. It must be closed before the LAN.
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

// State returns what the machine's power is.
func (m *Machine) State() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}

// agent returns the way to the commands of a machine that is on, and nil else.
func (m *Machine) agent() *peer {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.board == nil {
		return nil
	}
	return m.board.commands
}

// Len returns how many events there were, for Wait.
func (m *Machine) Len() int { return len(m.Log()) }

// Log returns what happened to the machine.
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

// Console returns what the machine's system wrote to its serial port, over all boots.
func (m *Machine) Console() string {
	b, err := os.ReadFile(filepath.Join(m.cfg.Dir, consoleFile))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// PowerOn switches a machine on that is off, as its power button does.
func (m *Machine) PowerOn() error {
	m.power.Lock()
	defer m.power.Unlock()
	if state := m.State(); state != Off || m.gone() {
		return fmt.Errorf("%s: power on: it is %s: expected one that is off, and not closed", m.Name(), state)
	}
	// A card drops what comes while the machine is off; a tap would keep it.
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
		return fmt.Errorf("%s: resume: it is %s: expected one that is suspended", m.Name(), state)
	}
	if err := m.lan.SetCable(m.Host, true); err != nil {
		return err
	}
	return b.monitor.call(ctx, "system_wakeup", nil, nil)
}

// PowerCut takes the power from a machine without a word to its system, and returns
// when it is off.
func (m *Machine) PowerCut(ctx context.Context) error {
	m.power.Lock()
	defer m.power.Unlock()
	m.mu.Lock()
	b := m.board
	m.mu.Unlock()
	if b == nil {
		return nil
	}
	// The emulator ends by itself, so that the disk's file is whole.
	if err := b.monitor.call(ctx, "quit", nil, nil); err != nil && !errors.Is(err, errHungUp) {
		return err
	}
	select {
	case <-b.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: power cut: it runs on: %w", m.Name(), context.Cause(ctx))
	}
}

// onMagic is the card: a magic packet came.
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

// Close ends the machine at once.
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
