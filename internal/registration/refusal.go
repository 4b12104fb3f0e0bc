package registration

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"nightporter/internal/shell"
)

// Outcome is the result of a registration. Its names are label values of metrics.
type Outcome uint8

// The outcomes.
const (
	Accepted Outcome = iota // answered OK.
	Invalid                 // not a registration: broken JSON, a wrong type or value
	Refused                 // understood, but not allowed
	Limited                 // too many, too large or too slow
)

// Outcomes lists every outcome.
var Outcomes = [...]Outcome{Accepted, Invalid, Refused, Limited}

var outcomeNames = [...]string{"accepted", "invalid", "refused", "limited"}

// String returns the outcome's name as the metrics show it.
func (o Outcome) String() string {
	if int(o) >= len(outcomeNames) {
		return fmt.Sprintf("outcome(%d)", uint8(o))
	}
	return outcomeNames[o]
}

// Refusal is an answer other than OK., with the outcome to count. Any other error of a Handler
// counts as Refused.
type Refusal struct {
	Outcome Outcome
	Text    string // one line for the client
}

// Error returns the text.
func (r *Refusal) Error() string { return r.Text }

// Refuse returns a Refusal with a formatted text: one line of at most 400 bytes, without control
// characters.
func Refuse(o Outcome, format string, args ...any) *Refusal {
	return &Refusal{Outcome: o, Text: oneLine(fmt.Sprintf(format, args...))}
}

// ForgetHint ends the text of a refusal that holds until a machine is forgotten.
func ForgetHint(name string) string {
	return fmt.Sprintf(" (`nightporter forget %s` on the porter)", shell.Quote(name))
}

// tryAgain ends the text of every refusal that may pass by itself.
const tryAgain = "try again"

// classify returns the outcome to count and the answer for err. stopping means that the server
// is stopping.
func classify(err error, stopping bool) (Outcome, string) {
	var r *Refusal
	switch {
	case err == nil:
		return Accepted, okAnswer
	case stopping && !errors.As(err, &r):
		return Limited, "the porter is stopping, " + tryAgain
	case errors.As(err, &r):
		return r.Outcome, oneLine(err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return Limited, "checking the registration took too long, " + tryAgain
	default:
		return Refused, oneLine(err.Error())
	}
}

// maxAnswer bounds an answer, in bytes. Clients of Wakupator read at most 1024.
const maxAnswer = 400

// oneLine returns text as one line of printable characters, at most maxAnswer bytes long, that
// does not begin like an OK.
func oneLine(text string) string {
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text))
	if text == "" || strings.HasPrefix(text, okAnswer) {
		text = "refused: " + text
	}
	return truncate(text, maxAnswer)
}

// truncate cuts s to at most n bytes, between characters, and marks the cut.
func truncate(s string, n int) string {
	const dots = "..."
	if len(s) <= n {
		return s
	}
	cut := n - len(dots)
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + dots
}
