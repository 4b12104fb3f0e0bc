package web

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
)

// docs is where the documentation is.
const docs = "https://github.com/nightporter/nightporter/blob/main/docs/"

const (
	// maxNotices is how many notices of one kind the page has at most.
	maxNotices = 8
	// refusalAge is how long a refused registration needs attention.
	refusalAge = 7 * day
)

// notice is one thing that needs attention.
type notice struct {
	Key    string // stays the same while it is the same thing
	Name   string // of the machine it is about; may be empty
	Lead   string
	At     *moment
	Text   string
	Hint   string
	How    string // address of the documentation about it
	Forget string // the machine that has to be forgotten, if that helps
}

// notices returns what needs attention, the porter itself first.
func notices(b Backend, c *ConfigState, all []machine.Status, events []journal.Event, now time.Time) []notice {
	found := ownNotices(b, c, now)
	found = append(found, limitNotices(failedWakes(all, lastUp(events), now), "machines did not wake")...)
	found = append(found, limitNotices(refusals(all, events, now), "registrations were refused")...)
	found = append(found, limitNotices(renamed(all, events, now), "machines have another name")...)
	return append(found, limitNotices(conflicts(all), "addresses are in use by other hosts")...)
}

// limitNotices leaves out what is more than maxNotices, and counts it.
func limitNotices(all []notice, what string) []notice {
	if len(all) <= maxNotices {
		return all
	}
	rest := notice{Key: "more:" + what, Lead: fmt.Sprintf("%d more %s", len(all)-maxNotices, what)}
	return append(all[:maxNotices:maxNotices], rest)
}

// ownNotices says what is wrong with the porter, as /api/v1/status does.
func ownNotices(b Backend, c *ConfigState, now time.Time) []notice {
	var found []notice
	if err := b.Ready(); err != nil {
		found = append(found, notice{Key: "ready:" + err.Error(), Lead: "Not ready:", Text: err.Error()})
	}
	if g := b.Guard(); !g.Active && g.Reason != "" {
		found = append(found, notice{Key: "guard:" + g.Reason, Lead: "Guard not active:", Text: g.Reason, How: docs + "network.md"})
	}
	if s := b.Storage(); !s.Healthy && s.Reason != "" {
		found = append(found, notice{Key: "journal:" + s.Reason, Lead: "Journal not written:", Text: s.Reason})
	}
	if len(c.Restart) > 0 {
		keys := strings.Join(c.Restart, ", ")
		found = append(found, notice{Key: "restart:" + keys, Lead: "Restart needed:", Text: "a change of " + keys + " takes effect after a restart."})
	}
	if !c.Healthy {
		found = append(found, notice{
			Key: "config:" + rfc3339(c.Loaded) + ":" + c.Reason, Lead: "Configuration not reloaded:", Text: c.Reason + ".",
			Hint: "The porter uses the configuration from " + momentOf(c.Loaded, now).Shown + ".",
		})
	}
	return found
}

func failedWakes(all []machine.Status, up map[string]time.Time, now time.Time) (found []notice) {
	for i := range all {
		s := &all[i]
		if !failed(s, up[s.Name]) {
			continue
		}
		at := momentOf(s.LastWake.At, now)
		text := "no answer" + ifAny(" to ", rounds(s.LastWake.Attempts))
		found = append(found, notice{
			Key: "wake:" + s.Name + ":" + at.Stamp, Name: s.Name, Lead: "did not wake", At: &at,
			Text: "(" + text + ", " + whyWoken(&s.LastWake) + ").", Hint: "Check power, cable and Wake-on-LAN.",
			How: docs + "troubleshooting.md#it-does-not-wake",
		})
	}
	return found
}

// conflicts returns addresses that were left to other hosts.
func conflicts(all []machine.Status) (found []notice) {
	for i := range all {
		for _, a := range all[i].Addresses {
			if a.Standing == machine.Conceded {
				found = append(found, notice{
					Key: "conflict:" + all[i].Name + ":" + a.IP.String(), Name: all[i].Name, Lead: "has an address in conflict",
					Text: a.IP.String() + " is conceded: " + a.Reason,
				})
			}
		}
	}
	return found
}

// refusals returns the registrations that were refused lately, and not accepted since:
// the last one of each machine, newest first.
func refusals(all []machine.Status, events []journal.Event, now time.Time) (found []notice) {
	accepted, seen := make(map[ether.MAC]bool), make(map[string]bool)
	for i := len(events) - 1; i >= 0; i-- {
		e := &events[i]
		switch {
		case now.Sub(e.At) > refusalAge:
			return found
		case e.Kind == journal.Registered:
			accepted[e.MAC] = true
		case e.Kind != journal.Refused:
		case e.MAC != ether.MAC{} && accepted[e.MAC]:
		default:
			n := refusalOf(e, all, now)
			if !seen[n.Key] {
				seen[n.Key] = true
				found = append(found, n)
			}
		}
	}
	return found
}

func refusalOf(e *journal.Event, all []machine.Status, now time.Time) notice {
	at := momentOf(e.At, now)
	who := e.Source.Addr().String()
	if e.MAC != (ether.MAC{}) {
		who = e.MAC.String() + " at " + who
	}
	return notice{
		Key: "refused:" + who, Lead: "A registration was refused", At: &at, Text: "from " + who + ": " + e.Reason,
		Forget: blockingMachine(e.Reason, all),
	}
}

// renamed returns the machines that got another name than they asked for, because a
// machine that is still known has that.
func renamed(all []machine.Status, events []journal.Event, now time.Time) (found []notice) {
	seen := make(map[ether.MAC]bool)
	for i := len(events) - 1; i >= 0; i-- {
		e := &events[i]
		if e.Kind != journal.Renamed || seen[e.MAC] {
			continue
		}
		seen[e.MAC] = true
		there := slices.ContainsFunc(all, func(s machine.Status) bool { return s.Name == e.Machine && s.MAC == e.MAC })
		if holder := blockingMachine(e.Reason, all); there && holder != "" {
			at := momentOf(e.At, now)
			found = append(found, notice{
				Key: "renamed:" + e.Machine, Name: e.Machine, Lead: "did not get the requested name", At: &at, Text: e.Reason + ".",
				Hint: "If that is an old network card of the same machine, forget it.", Forget: holder,
			})
		}
	}
	return found
}

// blocked is how a registration is refused an address, or a name, that another machine
// has. The name is quoted as Go quotes text, so that nothing in it is blocked for the rest.
var blocked = [...]*regexp.Regexp{
	regexp.MustCompile(`^monitor: \S+ belongs to ("(?:[^"\\]|\\.)*") \(([0-9a-f:]{17})\), which is `),
	regexp.MustCompile(`^the name ("(?:[^"\\]|\\.)*") belongs to ([0-9a-f:]{17}) already`),
}

// blockingMachine returns the machine that has to be forgotten for a registration to get what
// it asks for, or nothing.
func blockingMachine(reason string, all []machine.Status) string {
	for _, t := range blocked {
		m := t.FindStringSubmatch(reason)
		if m == nil {
			continue
		}
		name, err := strconv.Unquote(m[1])
		known := func(s machine.Status) bool { return s.Name == name && s.MAC.String() == m[2] }
		if err == nil && slices.ContainsFunc(all, known) {
			return name
		}
	}
	return ""
}
