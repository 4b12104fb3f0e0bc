package journal

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

// The journal is validated like a registration: otherwise a user who can write to the
// file could make the porter claim addresses that no registration may have.

// longestTaken bounds the boot and start times from the file, which determine how long
// a wake is tried.
const longestTaken = 24 * time.Hour

// mostJoules is what a machine of machine.MaxWatts draws in a century.
const mostJoules = machine.MaxWatts * float64(century/time.Second)

// checkSpec returns an error if the spec of a machine in a record is invalid.
func checkSpec(s *machine.Spec) error {
	switch {
	case !s.MAC.Unicast():
		return fmt.Errorf("mac: found %s, expected that of one machine", s.MAC)
	case s.WakeMAC != (ether.MAC{}) && !s.WakeMAC.Unicast():
		return fmt.Errorf("wake_mac: found %s, expected that of one network card", s.WakeMAC)
	case len(s.Monitor) == 0 && !s.Agentless:
		return errors.New("monitor: found no address, expected at least one")
	case !(s.IdleWatts >= 0 && s.IdleWatts <= machine.MaxWatts): // so written, it also refuses NaN
		return fmt.Errorf("idle_watts: found %v, expected 0 to %d", s.IdleWatts, machine.MaxWatts)
	case !(s.SleepWatts >= 0 && s.SleepWatts <= s.IdleWatts):
		return fmt.Errorf("sleep_watts: found %v, expected 0 to idle_watts (%v)", s.SleepWatts, s.IdleWatts)
	case !slices.Contains([]int{0, 4, 6}, len(s.Password)):
		return fmt.Errorf("password: found %d bytes, expected 4 or 6", len(s.Password))
	}
	if err := checkPrefixes("wake_from", s.WakeFrom); err != nil {
		return err
	}
	seen := make(map[netip.Addr]bool, len(s.Monitor))
	for i := range s.Monitor {
		a := &s.Monitor[i]
		at := fmt.Sprintf("monitor[%d]", i)
		switch {
		case !machine.IsHostAddress(a.IP):
			return fmt.Errorf("%s.ip: found %q, expected the address of one machine, without a zone", at, a.IP)
		case seen[a.IP]:
			return fmt.Errorf("%s.ip: found %s again, expected each address once", at, a.IP)
		case a.Guest() && (!a.MAC.Unicast() || a.MAC == s.MAC || a.MAC == s.WakeMAC):
			return fmt.Errorf("%s.mac: found %s, expected that of a guest", at, a.MAC)
		}
		seen[a.IP] = true
		if err := checkSettings(at, a); err != nil {
			return err
		}
	}
	return nil
}

func checkSettings(at string, a *machine.Address) error {
	for p, s := range a.Settings {
		at := fmt.Sprintf("%s.settings[%s]", at, p)
		if d := s.ReadyTimeout; d != 0 && (d < machine.MinReadyTimeout || d > machine.MaxReadyTimeout) {
			return fmt.Errorf("%s.ready_timeout: found %v, expected %v to %v", at, d, machine.MinReadyTimeout, machine.MaxReadyTimeout)
		}
		if field, expected := s.Check([]machine.Port{p}); field != "" {
			return fmt.Errorf("%s.%s: expected %s", at, field, expected)
		}
		if err := checkPrefixes(at+".wake_from", s.WakeFrom); err != nil {
			return err
		}
	}
	return nil
}

func checkPrefixes(at string, prefixes []netip.Prefix) error {
	if slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return !p.IsValid() }) {
		return fmt.Errorf("%s: found an invalid prefix, expected one such as 192.168.1.0/24", at)
	}
	return nil
}

// within limits the number of services to that of a machine. An address without
// services stays, so that it is still claimed.
func within(monitor []machine.Address) []machine.Address {
	monitor = slices.Clone(first(machine.MaxAddresses, monitor))
	left, settings := machine.MaxServices, machine.MaxSettings
	for i := range monitor {
		a := &monitor[i]
		a.Ports = first(left, a.Ports)
		left -= len(a.Ports)
		all := a.Settings
		a.Settings = nil
		for _, p := range a.Ports {
			if s, has := all[p]; has && settings > 0 {
				s.WakeFrom = first(machine.MaxServiceWakeFrom, s.WakeFrom)
				a.Set([]machine.Port{p}, s)
				settings--
			}
		}
	}
	return monitor
}
