package journal

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

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

// maxOthers bounds the addresses that a machine was seen at without having
// registered them.
const maxOthers = 16

// settingsForm is the settings of one service in JSON.
type settingsForm struct {
	Ready        string         `json:"ready,omitempty"`
	ReadyTimeout span           `json:"ready_timeout,omitempty"`
	Established  *bool          `json:"established,omitempty"`
	WakeFrom     []netip.Prefix `json:"wake_from,omitempty"`
}

func settingsFormsOf(settings map[machine.Port]machine.Settings) map[string]settingsForm {
	if len(settings) == 0 {
		return nil
	}
	forms := make(map[string]settingsForm, len(settings))
	for p, s := range settings {
		f := settingsForm{ReadyTimeout: span(s.ReadyTimeout), Established: s.Established, WakeFrom: s.WakeFrom}
		if s.Ready != (machine.Ready{}) {
			f.Ready = s.Ready.String()
		}
		forms[p.String()] = f
	}
	return forms
}

// settings is the inverse of settingsFormsOf.
func (f *addressForm) settings(a *machine.Address) error {
	for name, s := range f.Settings {
		ports, err := machine.ParsePort(name)
		if err != nil {
			return err
		}
		own := machine.Settings{ReadyTimeout: time.Duration(max(0, s.ReadyTimeout)), Established: s.Established, WakeFrom: s.WakeFrom}
		if s.Ready != "" {
			if own.Ready, err = machine.ParseReady(s.Ready); err != nil {
				return fmt.Errorf("ready: found %q, expected %w", s.Ready, err)
			}
		}
		a.Set(ports, own)
	}
	return nil
}
