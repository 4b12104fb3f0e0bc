package machine

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/ether"
)

// ErrUnknown says that no machine has the name.
var ErrUnknown = errors.New("unknown machine")

// ErrConflict says that a request does not fit the state of the machine.
var ErrConflict = errors.New("not possible in the machine's state")

// What a Spec holds at most, registered or configured. Without bounds one machine
// could take the memory, the probes and the journal of all.
const (
	MaxServices  = 256 // (address, protocol, port)
	MaxAddresses = 256 // services or not
	MaxWakeFrom  = 256 // entries of WakeFrom

	// MaxWatts is beyond any machine that a magic packet wakes; it catches
	// milliwatts and typing errors.
	MaxWatts = 100_000
)

// Address is one address of a machine, and the ports at which a packet for it
// is a reason to wake. An address without ports is claimed, and wakes nothing.
type Address struct {
	IP       netip.Addr        // never IPv4-mapped, never with a zone
	MAC      ether.MAC         // of the virtual machine or container that has the address; zero: the machine's own
	Ports    []Port            // without duplicates
	Settings map[Port]Settings // of those that have some of their own; nil: none does
}

// Guest reports whether the address is that of a virtual machine or a
// container with a MAC of its own, which runs on the machine.
func (a *Address) Guest() bool { return a.MAC != ether.MAC{} }

// Set sets the settings of services of the address.
func (a *Address) Set(ports []Port, s Settings) {
	if s.IsZero() {
		return
	}
	if a.Settings == nil {
		a.Settings = make(map[Port]Settings)
	}
	for _, p := range ports {
		a.Settings[p] = s
	}
}

// Spec is the specification of a machine, from its registration or the configuration.
type Spec struct {
	Name       string
	MAC        ether.MAC
	Monitor    []Address      // its own and those of virtual machines, no address twice
	IdleWatts  float64        // drawn while awake and idle, in watts
	SleepWatts float64        // drawn while asleep, in watts
	Password   []byte         // SecureOn password for magic packets: 0, 4 or 6 bytes
	WakeFrom   []netip.Prefix // sources that may wake it; empty: all
	Agentless  bool           // it need not register: its silence is enough. Only the configuration says so
	Unwatched  bool           // the configuration says watch: false
	WakeMAC    ether.MAC      // the card that wakes it, where that is not MAC; zero: it is
	Path       WakePath       // how it is woken. Only the configuration says so
	Token      Secret         // of the token that its registrations must carry; zero: none. Only the configuration says so
	Secret     Secret         // of the token that its first registration carried, and later ones must where Token is zero
}

// WakePath is how one machine is woken, where that differs from the general settings.
type WakePath struct {
	Interface  string         // where its magic packets go out; empty: where the machine is
	Transports []string       // in place of wake.transports; nil: those
	To         netip.AddrPort // where a magic datagram goes besides, by the kernel's routes
	Command    []string       // a program, and what it is given; empty: none
}

// MagicMAC returns the MAC address that magic packets carry and go to.
func (s *Spec) MagicMAC() ether.MAC {
	if s.WakeMAC == (ether.MAC{}) {
		return s.MAC
	}
	return s.WakeMAC
}

// Addrs returns the machine's addresses in the order they were registered.
func (s *Spec) Addrs() []netip.Addr {
	addrs := make([]netip.Addr, len(s.Monitor))
	for i, a := range s.Monitor {
		addrs[i] = a.IP
	}
	return addrs
}

// Has reports whether ip is one of the machine's addresses.
func (s *Spec) Has(ip netip.Addr) bool {
	return slices.ContainsFunc(s.Monitor, func(a Address) bool { return a.IP == ip })
}

// Owner returns the MAC of the host that has the address.
func (s *Spec) Owner(ip netip.Addr) ether.MAC {
	for i := range s.Monitor {
		if a := &s.Monitor[i]; a.IP == ip && a.Guest() {
			return a.MAC
		}
	}
	return s.MAC
}

// Hosts reports whether mac is that of a virtual machine or a container.
func (s *Spec) Hosts(mac ether.MAC) bool {
	return slices.ContainsFunc(s.Monitor, func(a Address) bool { return a.Guest() && a.MAC == mac })
}

// Own returns the addresses that are the machine's own.
func (s *Spec) Own() []Address { return s.addresses(false) }

// Guests returns the addresses of virtual machines and containers.
func (s *Spec) Guests() []Address { return s.addresses(true) }

func (s *Spec) addresses(guests bool) (some []Address) {
	for _, a := range s.Monitor {
		if a.Guest() == guests {
			some = append(some, a)
		}
	}
	return some
}

// Serves reports whether a packet for s is a reason to wake the machine.
func (s *Spec) Serves(service Service) bool {
	return slices.ContainsFunc(s.Monitor, func(a Address) bool {
		return a.IP == service.Addr && slices.Contains(a.Ports, service.Port)
	})
}

// Ports returns the registered ports of all addresses: sorted, each once.
func (s *Spec) Ports() []Port {
	var ports []Port
	for _, a := range s.Monitor {
		ports = append(ports, a.Ports...)
	}
	slices.SortFunc(ports, Port.Compare)
	return slices.Compact(ports)
}

// Settings returns the settings of a service.
func (s *Spec) Settings(service Service) Settings {
	for _, a := range s.Monitor {
		if a.IP == service.Addr {
			return a.Settings[service.Port]
		}
	}
	return Settings{}
}

// ReadyTimeout returns the service's own hold.ready_timeout, if it has one.
func (s *Spec) ReadyTimeout(service Service) (time.Duration, bool) {
	d := s.Settings(service).ReadyTimeout
	return d, d > 0
}

func (s *Spec) saving(slept time.Duration) float64 {
	return slept.Seconds() * max(0, s.IdleWatts-s.SleepWatts)
}

// InheritSettings copies settings from the services of from to those of monitor that
// have none.
func InheritSettings(monitor, from []Address) {
	known := Spec{Monitor: from}
	for i := range monitor {
		a := &monitor[i]
		for _, p := range a.Ports {
			if _, has := a.Settings[p]; !has {
				a.Set([]Port{p}, known.Settings(Service{Addr: a.IP, Port: p}))
			}
		}
	}
}

// CountSettings returns how many services of these addresses have settings.
func CountSettings(monitor []Address) int {
	n := 0
	for _, a := range monitor {
		n += len(a.Settings)
	}
	return n
}

// CountServices returns how many services these addresses have.
func CountServices(monitor []Address) int {
	n := 0
	for _, a := range monitor {
		n += len(a.Ports)
	}
	return n
}

// IsHostAddress reports whether ip can be the address of one machine in the form in
// which addresses are compared: no zone, not IPv4-mapped. Whether a local network
// forbids the address is checked elsewhere.
func IsHostAddress(ip netip.Addr) bool {
	broadcast := netip.AddrFrom4([4]byte{255, 255, 255, 255}) // RFC 919 section 7
	return ip.IsValid() && ip.Zone() == "" && !ip.Is4In6() && !ip.IsUnspecified() && !ip.IsLoopback() && !ip.IsMulticast() && ip != broadcast
}

// ParsePassword reads a SecureOn password: six bytes written as a MAC address, or four
// written as an IPv4 address (the two lengths that NICs know).
func ParsePassword(s string) ([]byte, error) {
	if m, err := ether.ParseMAC(s); err == nil {
		return m[:], nil
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Is4() {
		return a.AsSlice(), nil
	}
	// The text is a secret, so it is not repeated here.
	return nil, errors.New("not a SecureOn password: expected six bytes such as 01:23:45:67:89:ab, or four such as 192.0.2.1")
}
