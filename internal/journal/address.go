package journal

import (
	"net/netip"
	"slices"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

// addressForm is one address of a machine in JSON.
type addressForm struct {
	IP       netip.Addr              `json:"ip"`
	MAC      ether.MAC               `json:"mac,omitzero"`       // of a guest
	Ports    []string                `json:"ports,omitempty"`    // "22/tcp", "icmp"
	Settings map[string]settingsForm `json:"settings,omitempty"` // by port
}

func addressFormsOf(monitor []machine.Address) []addressForm {
	var forms []addressForm
	for _, a := range within(monitor) {
		ports := make([]string, len(a.Ports))
		for i, p := range a.Ports {
			ports[i] = p.String()
		}
		forms = append(forms, addressForm{IP: a.IP, MAC: a.MAC, Ports: ports, Settings: settingsFormsOf(a.Settings)})
	}
	return forms
}

// addressesOf is the inverse of addressFormsOf. An older file may hold more of one
// machine than is allowed now.
func addressesOf(forms []addressForm) ([]machine.Address, error) {
	var monitor []machine.Address
	for _, f := range forms {
		a := machine.Address{IP: f.IP.Unmap(), MAC: f.MAC}
		for _, s := range f.Ports {
			ports, err := machine.ParsePort(s)
			if err != nil {
				return nil, err
			}
			for _, p := range ports {
				if len(a.Ports) < machine.MaxServices && !slices.Contains(a.Ports, p) {
					a.Ports = append(a.Ports, p)
				}
			}
		}
		if err := f.settings(&a); err != nil {
			return nil, err
		}
		monitor = append(monitor, a)
	}
	return within(monitor), nil
}

// within returns the addresses with no more services than a machine may have: of
// those beyond it the address stays, so that it is claimed still.
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

// maxOthers bounds the addresses that a machine was seen at without having
// registered them.
const maxOthers = 16

// first returns the first n elements of s, or all if there are fewer.
func first[S ~[]E, E any](n int, s S) S {
	n = min(n, len(s))
	return s[:n:n]
}

// hostAddresses leaves out what is no address of one machine.
func hostAddresses(addrs []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(addrs, func(a netip.Addr) bool { return !machine.IsHostAddress(a) })
}
