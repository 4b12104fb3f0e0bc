package machine

import (
	"fmt"
	"time"
)

// Suppression is why a packet for a sleeping machine does not wake it.
type Suppression uint8

// The reasons.
const (
	TooFewKnocks      Suppression = iota // its source has not knocked often enough
	InQuietHours                         // no knock wakes at this time of day
	WhileCooling                         // it may be a leftover of what ended with the machine's sleep
	AfterFailures                        // the machine did not wake several times, and is left alone for a while
	FromThisHost                         // a program of the porter's own host sent it
	PortNotRegistered                    // nothing is registered at its port
	SourceNotAllowed                     // its source may not wake the machine, or the service
	PingNotRegistered                    // it is an echo request, and icmp is not registered
	OldConnection                        // it opens no connection
)

// Suppressions lists every reason.
var Suppressions = [...]Suppression{
	TooFewKnocks, InQuietHours, WhileCooling, AfterFailures,
	FromThisHost, PortNotRegistered, SourceNotAllowed, PingNotRegistered, OldConnection,
}

var suppressionNames = [...]string{
	"min_knocks", "quiet_hours", "cooldown", "failed_wakes", "local", "port", "source", "ping", "established",
}

// String returns the reason as the metrics, the API and the events show it.
func (s Suppression) String() string {
	if int(s) >= len(suppressionNames) {
		return fmt.Sprintf("suppression(%d)", uint8(s))
	}
	return suppressionNames[s]
}

// MarshalText implements encoding.TextMarshaler.
func (s Suppression) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// AtRest reports whether a knock would be the first reason to wake the machine: it
// is asleep, or about to be, and no client has knocked or asked. since is when it
// fell asleep, and zero while it settles. A wake that failed and a restart of the
// porter do not interrupt a sleep.
func (m *Machine) AtRest() (fell time.Time, rests bool) {
	switch m.state {
	case Settling:
		return m.sleep.since, m.pending == nil
	case Asleep:
		return earlier(m.claimAt, m.since), true
	default:
		return time.Time{}, false
	}
}
