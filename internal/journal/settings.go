package journal

import (
	"fmt"
	"net/netip"
	"time"

	"nightporter/internal/machine"
)

// settingsForm is what a service has of its own, in JSON.
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
