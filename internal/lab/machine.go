package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"nightporter/internal/ether"
)

// A PowerState is what a machine is doing.
type PowerState string

// The states of a machine's power.
const (
	Awake        PowerState = "awake"
	ShuttingDown PowerState = "shutting down"
	Asleep       PowerState = "asleep"
	Booting      PowerState = "booting"
)

// IgnoreAll as MachineConfig.IgnoreMagic: no magic packet wakes the machine.
const IgnoreAll = -1

// MachineConfig describes a machine.
type MachineConfig struct {
	Name string
	MAC  ether.MAC // zero: derived from the first address
	// WakeMAC is the address that was built into the card, where the operating system
	// gives it another: the card heeds it in magic packets, and the boot firmware
	// speaks with it. Zero: it is MAC.
	WakeMAC ether.MAC
	Addrs   []netip.Prefix // when awake; without an IPv6 one IPv6 stays off

	// Segment of the switch that it is on, with hosts of AddHostIn; 0: the LAN.
	Segment uint16

	// Boot is the time from power-on until the operating system configures
	// the network. Duplicate address detection comes on top: a second for IPv6.
	Boot     time.Duration
	Services []ServiceConfig

	Announce bool // gratuitous ARP and unsolicited NA once the network is up
	// AsksRouter has the machine send the router a datagram as soon as the network
	// is up. Its kernel resolves the router by broadcast with its own MAC as the sender.
	AsksRouter bool
	ARPProbe   bool // probe IPv4 addresses before use (RFC 5227), shortened to 300 ms
	// RetransTimer is how long a test of an IPv6 address waits for objections. Routers
	// may advertise it (RFC 4861 section 6.3.4). Zero: a second.
	RetransTimer time.Duration

	// Suspend has Sleep suspend to RAM instead of shutting down: services,
	// connections and addresses stay, off the wire. The firmware sends nothing then.
	Suspend bool

	// Firmware is the time from power-on until the boot firmware speaks with
	// the machine's MAC, if one of the following is set. It is then silent
	// until the operating system comes up.
	Firmware     time.Duration
	FirmwareDHCP bool // two DHCPDISCOVER from 0.0.0.0, 100 ms apart
	FirmwareARP  bool // a gratuitous ARP for its own IPv4 address, once

	// Flap is an outage of the card after each boot or resume.
	Flap Flap

	HalfDeaf         bool // the card hears only every second round of magic packets
	IgnoreMagic      int  // after each power-off, this many magic packets do nothing; or IgnoreAll
	AnswersARPAsleep bool // the sleeping network card answers ARP and neighbor solicitations
	// Managed has management firmware (AMT, a BMC on a shared port) answer ARP,
	// neighbor solicitations and ping with the machine's MAC and addresses until
	// the operating system is up. Everything else it drops.
	Managed bool
	// Mutter is what the card of the sleeping machine sends by itself.
	Mutter   Mutter
	SecureOn []byte // password (4 or 6 bytes) that a magic packet must carry
}

// validate returns cfg with every service's address filled in.
func (cfg MachineConfig) validate() (MachineConfig, error) {
	if n := len(cfg.SecureOn); n != 0 && n != 4 && n != 6 {
		return cfg, fmt.Errorf("machine %s: SecureOn: %d bytes, want 4 or 6", cfg.Name, n)
	}
	if cfg.Boot < 0 || cfg.Firmware < 0 || cfg.Firmware > cfg.Boot {
		return cfg, fmt.Errorf("machine %s: Firmware %s, Boot %s: want 0 <= Firmware <= Boot",
			cfg.Name, cfg.Firmware, cfg.Boot)
	}
	if cfg.Flap.After < 0 || cfg.Flap.For < 0 {
		return cfg, fmt.Errorf("machine %s: Flap %v: want no negative times", cfg.Name, cfg.Flap)
	}
	probes := cfg.ARPProbe && cfg.Flap.For == 0 // they come when the card is configured anew
	if cfg.Suspend && (cfg.FirmwareDHCP || cfg.FirmwareARP || probes || cfg.AnswersARPAsleep || cfg.Managed) {
		return cfg, fmt.Errorf("machine %s: Suspend: want no firmware, no probes and a card that is mute", cfg.Name)
	}
	if cfg.WakeMAC != (ether.MAC{}) && !cfg.WakeMAC.Unicast() {
		return cfg, fmt.Errorf("machine %s: WakeMAC %s: want a unicast address", cfg.Name, cfg.WakeMAC)
	}
	if w := cfg.Mutter; w.Every < 0 || w.Every > 0 && w.Dst == (ether.MAC{}) {
		return cfg, fmt.Errorf("machine %s: Mutter every %s to %s: want a pause and a destination", cfg.Name, w.Every, w.Dst)
	}
	if cfg.IgnoreMagic < IgnoreAll {
		return cfg, fmt.Errorf("machine %s: IgnoreMagic %d: want a number or IgnoreAll", cfg.Name, cfg.IgnoreMagic)
	}
	var services []ServiceConfig
	for i, s := range cfg.Services {
		expanded, err := s.expand(cfg.Addrs)
		if err != nil {
			return cfg, fmt.Errorf("machine %s: service %d: %w", cfg.Name, i, err)
		}
		services = append(services, expanded...)
	}
	cfg.Services = services
	return cfg, nil
}

// A Machine is a host that sleeps. Asleep it has no address, answers nothing
// and sends nothing; only its network card looks for magic packets.
type Machine struct {
	*Host
	cfg MachineConfig
	log *eventLog
	nic *packet.Conn // what the network card sees, in every state

	transition sync.Mutex // held while the power goes; taken before mu

	mu        sync.Mutex // guards what follows
	state     PowerState
	session   *session
	ignore    int // magic packets still to be ignored
	hearing   hearing
	magic     int
	virtual   []*Machine      // virtual machines that run on it
	retired   bool            // the LAN is closing
	suspended bool            // the session goes on, muted
	neighbors []neighborEntry // when it was suspended
}

// AddMachine puts a machine on the LAN. It returns when the machine is awake
// and its services listen; their Delay, duplicate address detection and Boot
// count from the first time it is woken.
func (l *LAN) AddMachine(cfg MachineConfig) (*Machine, error) {
	cfg, err := cfg.validate()
	if err != nil {
		return nil, err
	}
	h, err := l.addHost(cfg.Name, cfg.MAC, cfg.Addrs, cfg.Segment)
	if err != nil {
		return nil, err
	}
	m := &Machine{Host: h, cfg: cfg, log: newEventLog(), state: Awake, ignore: cfg.IgnoreMagic}
	if err := m.openNIC(); err != nil {
		l.unregister(h)
		return nil, err
	}
	m.session = newSession(l.ctx)
	// The retiring goroutine owns card and session from here on.
	if !l.start(m.retire) {
		return nil, errors.Join(fmt.Errorf("machine %s: %w", cfg.Name, errClosed), m.nic.Close())
	}
	if err := m.firstStart(); err != nil {
		return nil, fmt.Errorf("machine %s: %w", cfg.Name, err)
	}
	return m, nil
}

func (m *Machine) openNIC() error {
	filter, err := nicFilter(m.cfg.Managed)
	if err != nil {
		return fmt.Errorf("machine %s: network card's filter: %w", m.name, err)
	}
	m.nic, err = m.packetConn(unix.ETH_P_ALL, &packet.Config{Filter: filter})
	return err
}

func (m *Machine) firstStart() error {
	m.log.add(Event{Kind: NetworkUp})
	for _, s := range m.cfg.Services {
		if err := (runningService{m, m.session, s}).open(); err != nil {
			return err
		}
	}
	if !m.lan.start((networkCard{m}).watch) {
		return errClosed
	}
	if m.cfg.Mutter.Every > 0 && !m.lan.start((networkCard{m}).sendPeriodically) {
		return errClosed
	}
	m.log.skip(NetworkUp, ServiceUp)
	return nil
}

// retire ends the machine with the LAN.
func (m *Machine) retire() {
	<-m.lan.ctx.Done()
	m.nic.Close() // nothing was written that could be lost
	m.mu.Lock()
	m.retired = true
	s := m.session
	m.mu.Unlock()
	s.abort()
}

// cardMAC returns the address that was built into the card.
func (m *Machine) cardMAC() ether.MAC {
	if m.cfg.WakeMAC == (ether.MAC{}) {
		return m.mac
	}
	return m.cfg.WakeMAC
}

// State returns what the machine is doing.
func (m *Machine) State() PowerState {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}

// MagicCount returns how many magic packets for this machine were seen, in
// whatever state it was.
func (m *Machine) MagicCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.magic
}

// IgnoreMagic has the machine ignore the next n magic packets that it sees
// asleep, or all with IgnoreAll. The next power-off sets it back to what was
// configured.
func (m *Machine) IgnoreMagic(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ignore = n
}

// Services returns the machine's services, one for each address and port.
func (m *Machine) Services() []ServiceConfig {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.cfg.Services)
}

// hasIPv6 reports whether IPv6 is on when the machine is awake.
func (m *Machine) hasIPv6() bool { return m.Addr6().IsValid() }

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
