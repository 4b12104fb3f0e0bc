package config_test

import (
	"slices"
	"strings"
	"testing"

	"nightporter/internal/config"
	"nightporter/internal/machine"
)

func TestChanged(t *testing.T) {
	for path, s := range settings(t) {
		now := config.Default()
		s.change(now)
		want := []string{path}
		var restart []string
		if section, _, _ := strings.Cut(path, "."); slices.Contains([]string{"interfaces", "state_dir", "user"}, section) ||
			slices.Contains([]string{"registration.listen", "http.listen", "http.web_config", "log.format", "claim.mode", "claim.guard", "wake.local"}, path) {
			restart = want
		}
		if got := config.Changed(config.Default(), now); !slices.Equal(got, want) {
			t.Errorf("%s: Changed = %v, want %v", path, got, want)
		}
		if got := config.NeedsRestart(config.Default(), now); !slices.Equal(got, restart) {
			t.Errorf("%s: NeedsRestart = %v, want %v", path, got, restart)
		}
	}
}

func TestChangedOrder(t *testing.T) {
	old, now := config.Default(), config.Default()
	now.Claim.Mode = config.ModeBind
	now.Machines = []machine.Spec{{Name: "tower"}}
	now.HTTP.Listen = nil
	now.Registration.Listen = []string{}
	now.Wake.Attempts = 9
	if got, want := config.Changed(old, now), []string{"registration.listen", "http.listen", "claim.mode", "wake.attempts", "machines"}; !slices.Equal(got, want) {
		t.Errorf("Changed = %v, want %v", got, want)
	}
	if got, want := config.NeedsRestart(old, now), []string{"registration.listen", "http.listen", "claim.mode"}; !slices.Equal(got, want) {
		t.Errorf("NeedsRestart = %v, want %v", got, want)
	}
	if got := config.Changed(old, config.Default()); len(got) != 0 {
		t.Errorf("Changed = %v for equal configurations", got)
	}
}

// A new password is a change, although neither is ever shown.
func TestChangedSecrets(t *testing.T) {
	old := load(t, machinesFile, nil)
	now := load(t, strings.Replace(machinesFile, "1.2.3.4", "1.2.3.5", 1), []string{"NIGHTPORTER_REGISTRATION__TOKEN=another one"})
	if got, want := config.Changed(old, now), []string{"registration.token", "machines"}; !slices.Equal(got, want) {
		t.Errorf("Changed = %v, want %v", got, want)
	}
}
