package machine

import "fmt"

// State is where a machine is in its life.
type State uint8

// The states, in the order of one night.
const (
	Awake    State = iota // it speaks for itself; we keep out of the way
	Settling              // it said it would sleep, or spoke in its sleep: is it really off?
	Asleep                // its addresses are claimed
	Waking                // magic packets go out, the claim stays
	Arriving              // it speaks for one of its addresses again
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

// Trigger is what made us wake a machine.
type Trigger uint8

// The triggers of a wake.
const (
	ByTCP      Trigger = iota // a SYN to a registered port
	ByUDP                     // a datagram to a registered port
	ByICMP                    // an echo request
	ByAPI                     // a person or a program asked for it
	BySchedule                // the porter itself, by its configuration
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

// trigger returns the trigger that a knock on a service of protocol p is.
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
