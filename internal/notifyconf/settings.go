// Package notifyconf holds the settings of notifications: targets, kinds of events and rate.
//
// It knows the form of a target's URL, but not the library that delivers to it, so that a
// program can read a configuration without linking that library.
package notifyconf

import "nightporter/internal/journal"

// Settings say which events are sent to which targets.
type Settings struct {
	URLs   []Target       // empty: notifications are off
	Events []journal.Kind // those that are sent
	Rate   int            // messages in any hour, of which each kind of event has its share; each goes to all targets
}

// Kinds returns the events that can be sent.
func Kinds() []journal.Kind {
	return []journal.Kind{
		journal.Failed, journal.Conflict, journal.Refused, journal.ExternalStart, journal.Asleep, journal.Ready, journal.Forgotten,
		journal.Waiting, journal.Proved, journal.Elsewhere, journal.CardReplaced, journal.Renamed, journal.Redefined, journal.CommandFailed,
		journal.Started, journal.ReloadFailed,
	}
}
