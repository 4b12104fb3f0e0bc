package machine

import "fmt"

// State is the state of a machine.
type State uint8

// The states, in the order of one sleep.
const (
	Awake    State = iota // it answers for itself; the porter stays passive
	Settling              // it registered, or its state is in doubt: it is probed
	Asleep                // it is off; its addresses are claimed
	Waking                // magic packets go out, the claim stays
	Arriving              // it is up; its services are not ready yet
)

// States lists every state.
var States = [...]State{Awake, Settling, Asleep, Waking, Arriving}

var stateNames = [...]string{"awake", "settling", "asleep", "waking", "arriving"}

// String returns the state's name as the metrics and the API show it.
func (s State) String() string {
	if int(s) >= len(stateNames) {
		return fmt.Sprintf("state(%d)", uint8(s))
	}
	return stateNames[s]
}

// MarshalText implements encoding.TextMarshaler.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *State) UnmarshalText(b []byte) error {
	for _, known := range States {
		if known.String() == string(b) {
			*s = known
			return nil
		}
	}
	return fmt.Errorf("state: found %q, expected one of %v", b, States)
}

// Trigger is what began a wake.
type Trigger uint8

// The triggers of a wake.
const (
	ByTCP      Trigger = iota // a SYN to a registered port
	ByUDP                     // a datagram to a registered port
	ByICMP                    // an echo request
	ByAPI                     // requested by a user or a program
	BySchedule                // unused; kept for programs that read it
)

// Triggers lists every trigger.
var Triggers = [...]Trigger{ByTCP, ByUDP, ByICMP, ByAPI, BySchedule}

var triggerNames = [...]string{"tcp", "udp", "icmp", "api", "schedule"}

// String returns the trigger's name as the metrics show it.
func (t Trigger) String() string {
	if int(t) >= len(triggerNames) {
		return fmt.Sprintf("trigger(%d)", uint8(t))
	}
	return triggerNames[t]
}

// MarshalText implements encoding.TextMarshaler.
func (t Trigger) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// trigger returns the trigger of a wake by a knock of protocol p.
func (p Protocol) trigger() Trigger {
	switch p {
	case UDP:
		return ByUDP
	case ICMP:
		return ByICMP
	default:
		return ByTCP
	}
}
