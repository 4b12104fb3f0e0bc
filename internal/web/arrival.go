package web

import (
	"time"

	"nightporter/internal/machine"
)

// arrivalJSON is what the porter waits for at a machine that is up, as the API shows it.
type arrivalJSON struct {
	Since    string   `json:"since"` // RFC 3339: it answers
	Until    string   `json:"until"` // likewise: it is handed over then, whatever is ready
	Idle     string   `json:"idle"`  // likewise: the same if no client tries again
	NotReady []string `json:"not_ready"`
}

// arrivalOf returns nil for a machine that does not arrive.
func arrivalOf(a *machine.Arrival) *arrivalJSON {
	if a.Since.IsZero() {
		return nil
	}
	return &arrivalJSON{Since: rfc3339(a.Since), Until: rfc3339(a.Until), Idle: rfc3339(a.Idle), NotReady: machine.Names(a.NotReady)}
}

// InWords says what the porter waits for, and how long it has and will.
func (a *arrivalJSON) InWords(now time.Time) string {
	words := "it answers"
	if since, err := time.Parse(time.RFC3339, a.Since); err == nil && now.Sub(since) >= time.Second {
		words = "it has answered for " + span(now.Sub(since))
	}
	words += "; " + NotReady(a.NotReady) + " yet"
	return words + a.untilInWords(now)
}

// untilInWords says until when the porter waits.
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
