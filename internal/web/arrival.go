package web

import (
	"time"

	"nightporter/internal/machine"
)

// arrivalJSON is the wait for the services of a machine that is up, as in the API.
type arrivalJSON struct {
	Since    string   `json:"since"` // RFC 3339: when it answered first
	Until    string   `json:"until"` // RFC 3339: latest time of the handover
	Idle     string   `json:"idle"`  // RFC 3339: latest time of the handover if no client sends again
	NotReady []string `json:"not_ready"`
}

// arrivalOf returns nil for a machine that is not arriving.
func arrivalOf(a *machine.Arrival) *arrivalJSON {
	if a.Since.IsZero() {
		return nil
	}
	return &arrivalJSON{Since: rfc3339(a.Since), Until: rfc3339(a.Until), Idle: rfc3339(a.Idle), NotReady: machine.Names(a.NotReady)}
}

// InWords returns which services the porter waits for, since when and until when.
func (a *arrivalJSON) InWords(now time.Time) string {
	words := "it answers"
	if since, err := time.Parse(time.RFC3339, a.Since); err == nil && now.Sub(since) >= time.Second {
		words = "it has answered for " + span(now.Sub(since))
	}
	words += "; " + NotReady(a.NotReady) + " yet"
	return words + a.untilInWords(now)
}

// untilInWords returns until when the porter waits.
func (a *arrivalJSON) untilInWords(now time.Time) string {
	until, err := time.Parse(time.RFC3339, a.Until)
	if err != nil {
		return ""
	}
	words, last := "; the porter waits until ", toSecond(until, now).Shown
	if idle, err := time.Parse(time.RFC3339, a.Idle); err == nil && idle.Before(until) {
		return words + toSecond(idle, now).Shown + ", or " + last + " while a client still tries"
	}
	return words + last
}
