package journal

import (
	"fmt"

	"nightporter/internal/machine"
)

// Phase is the state of a machine as its history shows it.
type Phase uint8

// The phases.
const (
	PhaseUnknown Phase = iota // the porter did not run
	PhaseAwake                // also while it is settling
	PhaseAsleep
	PhaseWaking // also while its services start
)

// Phases lists every phase.
var Phases = [...]Phase{PhaseUnknown, PhaseAwake, PhaseAsleep, PhaseWaking}

var phaseNames = [...]string{"unknown", "awake", "asleep", "waking"}

// String returns the phase's name as the API shows it.
func (p Phase) String() string {
	if int(p) >= len(phaseNames) {
		return fmt.Sprintf("phase(%d)", uint8(p))
	}
	return phaseNames[p]
}

// MarshalText implements encoding.TextMarshaler.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Phase) UnmarshalText(b []byte) error {
	for _, known := range Phases {
		if known.String() == string(b) {
			*p = known
			return nil
		}
	}
	return fmt.Errorf("state: found %q, expected one of %v", b, Phases)
}

func phaseOf(s machine.State) Phase {
	switch s {
	case machine.Asleep:
		return PhaseAsleep
	case machine.Waking, machine.Arriving:
		return PhaseWaking
	default:
		return PhaseAwake
	}
}
