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

// A journal is trusted no more than a registration: who can write to it could
// otherwise have the porter claim what no registration could.

// longestTaken bounds what a machine is said to take for a start, which bounds how
// long a wake is tried.
const longestTaken = 24 * time.Hour

// mostJoules is what a machine of machine.MaxWatts draws in a century.
const mostJoules = machine.MaxWatts * float64(century/time.Second)

// checkSpec says what is wrong with what a record says of a machine, or returns nil.
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
		return fmt.Errorf("password: found %d octets, expected 4 or 6", len(s.Password))
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
		case a.Hosted() && (!a.MAC.Unicast() || a.MAC == s.MAC || a.MAC == s.WakeMAC):
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
		return fmt.Errorf("%s: found a prefix that is none, expected one such as 192.168.1.0/24", at)
	}
	return nil
}

// leftOut is a machine's record that was not believed.
type leftOut struct {
	mac  ether.MAC
	name string
	why  error
}

// mostTold is how many of them are told of one by one.
const mostTold = 16

// tellLeftOut logs what was not believed, and takes an event of each machine in that
// is not known any more.
func (j *Journal) tellLeftOut(c *content) {
	for _, l := range c.leftOut {
		j.log.Warn("a record of the journal is left out", "event", "record_left_out", "file", j.folder.file(), "machine", l.name, "mac", l.mac, "err", l.why)
		if _, known := c.machines[l.mac]; known {
			continue // by another record
		}
		j.Append(Record{Event: Event{
			At: j.clock().wall, Kind: Forgotten, Machine: l.name, MAC: l.mac, Reason: "its record in the journal was left out: " + l.why.Error(),
		}})
	}
}
