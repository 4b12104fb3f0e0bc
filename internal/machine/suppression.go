package machine

import (
	"fmt"
	"time"
)

// Suppression is why a knock did not wake a machine that it could have woken.
type Suppression uint8

// The reasons.
const (
	TooFewKnocks Suppression = iota // its source has not knocked often enough
	InQuietHours                    // no knock wakes at this time of day
	WhileCooling                    // it may be a leftover of what ended with the machine's sleep
)

// Suppressions lists every reason.
var Suppressions = [...]Suppression{TooFewKnocks, InQuietHours, WhileCooling}

var suppressionNames = [...]string{"min_knocks", "quiet_hours", "cooldown"}

// String returns the reason as the metrics show it: the key that is behind it.
func (s Suppression) String() string {
	if int(s) >= len(suppressionNames) {
		return fmt.Sprintf("suppression(%d)", uint8(s))
	}
	return suppressionNames[s]
}

// MarshalText implements encoding.TextMarshaler.
func (s Suppression) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Rests reports whether a knock would be the first reason to wake the machine: it
// is asleep, or about to be, and no client has knocked or asked. fell is when it
// fell asleep, and zero while it settles. A wake that failed and a restart of the
// porter do not interrupt a sleep.
func (m *Machine) Rests() (fell time.Time, rests bool) {
	switch m.state {
	case Settling:
		return m.sleep.since, m.pending == nil
	case Asleep:
		return earlier(m.claimAt, m.since), true
	default:
		return time.Time{}, false
	}
}
