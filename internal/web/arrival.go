package web

import (
	"fmt"
	"slices"
	"strings"
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

// NotReady says that services of a machine, written as machine.Service.String does, are
// not ready.
func NotReady(services []string) string {
	switch names := serviceNames(services); len(names) {
	case 0:
		return "its services are not ready"
	case 1:
		return "its service " + names[0] + " is not ready"
	default:
		last := len(names) - 1
		return "its services " + strings.Join(names[:last], ", ") + " and " + names[last] + " are not ready"
	}
}

// maxNamed is how many services are named in one sentence.
const maxNamed = 5

// serviceNames names services as "ssh (22/tcp)", each port once, and counts the rest.
func serviceNames(services []string) (names []string) {
	for _, s := range services {
		port := s[strings.LastIndexAny(s, ":]")+1:]
		if p, err := machine.ParsePort(port); err == nil && wellKnown[p[0].Number] != "" {
			port = wellKnown[p[0].Number] + " (" + port + ")"
		} else if strings.HasSuffix(s, "/icmp") {
			port = "ping"
		}
		if !slices.Contains(names, port) {
			names = append(names, port)
		}
	}
	if more := len(names) - maxNamed; more > 0 {
		names = append(names[:maxNamed], fmt.Sprintf("%d more", more))
	}
	return names
}
