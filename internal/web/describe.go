package web

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
)

// line is an event on the page.
type line struct {
	Seq     uint64
	At      moment
	Machine string
	Text    string
	Icon    string // id of a symbol of the page
	Class   string // class: "good", "bad" or empty
}

func lineOf(e *journal.Event, now time.Time) line {
	l := line{Seq: e.Seq, At: toSecond(e.At, now), Machine: e.Machine, Text: InWords(*e), Icon: "other"}
	switch e.Kind {
	case journal.Ready:
		l.Icon, l.Class = "done", "good"
		if e.Ready == 0 {
			l.Icon, l.Class = "trouble", "bad"
		}
	case journal.Failed, journal.Conflict, journal.Refused, journal.Waiting, journal.Elsewhere, journal.Renamed, journal.CommandFailed,
		journal.ReloadFailed:
		l.Icon, l.Class = "trouble", "bad"
	case journal.Asleep:
		l.Icon = "asleep"
	case journal.Settling:
		l.Icon = "settling"
	case journal.Arrived:
		l.Icon = "arriving"
	case journal.Awake, journal.ExternalStart:
		l.Icon = "awake"
	case journal.Magic:
		l.Icon = "waking"
	case journal.Knock, journal.Suppressed, journal.Asked:
		l.Icon = "knock"
	}
	return l
}

// InWords says what happened, for people. What it repeats of the network may have
// any characters in it.
func InWords(e journal.Event) string {
	switch e.Kind {
	case journal.Registered:
		if e.Reason != "" && e.Reason != string(machine.WhyRegistered) {
			return "registered: " + e.Reason
		}
		return "registered"
	case journal.Refused:
		who := "from " + source(e.Source)
		if e.MAC != (ether.MAC{}) {
			who = "of " + e.MAC.String() + " " + who
		}
		return "registration " + who + " refused" + ifAny(": ", e.Reason)
	case journal.Knock:
		return fmt.Sprintf("knock from %s at %s", source(e.Source), e.Service)
	case journal.Suppressed:
		return suppressedInWords(e)
	case journal.Asked:
		if e.Machine == "" {
			return fmt.Sprintf("wake of %s requested%s%s", e.MAC, ifAny(" by ", e.By), ifAny(": ", e.Reason))
		}
		if e.Test {
			return "test requested" + ifAny(" by ", e.By)
		}
		words := "wake requested" + ifAny(" by ", e.By)
		if e.Reason != "" {
			words += " " + e.Reason + ": one magic packet sent"
		}
		return words
	case journal.Paused:
		return "paused until " + e.Until.Local().Format(time.DateTime) + ifAny(", by ", e.By) + slept(e)
	case journal.Resumed:
		if e.By == "" {
			return "pause ended"
		}
		return "pause ended by " + e.By
	case journal.ServiceReady:
		return fmt.Sprintf("%s ready after %.1f s", e.Service, e.Ready.Seconds())
	case journal.Magic:
		return fmt.Sprintf("magic packets, round %d", e.Attempts)
	case journal.Arrived:
		return "is up, its services are not ready yet"
	case journal.Ready:
		return readyInWords(e)
	case journal.Failed:
		return DidNotWake(e.Attempts) + ifAny(", for ", Wanted(e.Source, e.Service, e.By))
	case journal.ExternalStart:
		return "started externally" + slept(e)
	case journal.Conflict:
		if e.Reason != "" {
			return fmt.Sprintf("%s conceded to %s: %s", e.IP, e.By, e.Reason)
		}
		return fmt.Sprintf("address conflict: %s is also used by %s", e.IP, e.By)
	case journal.ConflictOver:
		return fmt.Sprintf("address conflict over: no other host answers for %s", e.IP)
	case journal.Waiting:
		return fmt.Sprintf("%s cannot be claimed yet%s", e.IP, ifAny(": ", e.Reason))
	case journal.Proved:
		return fmt.Sprintf("%s can be claimed now", e.IP)
	case journal.Elsewhere:
		return fmt.Sprintf("is up at an address that it did not register: %s", e.IP)
	case journal.Redefined:
		return fmt.Sprintf("registration changed while it slept, from %s", source(e.Source))
	case journal.CardReplaced:
		return fmt.Sprintf("has a new network card: %s instead of %s", e.MAC, e.By)
	case journal.Renamed:
		if e.By != "" {
			return "renamed from " + e.By
		}
		return "uses this name instead of the requested one" + ifAny(": ", e.Reason)
	case journal.CommandFailed:
		return "wake command failed" + ifAny(": ", e.Reason)
	case journal.Asleep:
		if e.Reason == "" || e.Reason == string(machine.WhySilent) {
			return "asleep"
		}
		return "asleep: " + e.Reason
	case journal.Started, journal.Reloaded, journal.ReloadFailed:
		return porterInWords(e)
	default: // and what only a newer porter tells
		return strings.ReplaceAll(string(e.Kind), "_", " ") + ifAny(": ", e.Reason) + slept(e)
	}
}

// porterInWords tells what happened to the porter itself.
func porterInWords(e journal.Event) string {
	switch e.Kind {
	case journal.Reloaded:
		return "configuration reloaded" + ifAny(": ", e.Reason)
	case journal.ReloadFailed:
		return "configuration not reloaded" + ifAny(": ", e.Reason)
	}
	words := "nightporter " + e.Version + " started"
	switch {
	case e.Machines == 1:
		words += ", 1 known machine"
	case e.Machines > 1:
		words += fmt.Sprintf(", %d known machines", e.Machines)
	}
	return words + ifAny(": ", e.Reason)
}

// readyInWords tells a handover, which may have been one to a machine that was
// not ready.
func readyInWords(e journal.Event) string {
	words := "ready"
	switch {
	case e.Ready > 0:
		words += " after " + seconds(e.Ready)
	case e.Reason != "":
		words = e.Reason
	}
	if len(e.NotReady) > 0 {
		words += ": " + NotReady(e.NotReady)
	}
	if e.Boot > 0 {
		words += fmt.Sprintf(" (first frame after %s)", seconds(e.Boot))
	}
	return words + ifAny(", for ", Wanted(e.Source, e.Service, e.By))
}

// Wanted says who wanted a machine, and what of it: a knock has a source and a
// service, any other wake has a requester. The port of a client says nothing.
func Wanted(from netip.AddrPort, service, by string) string {
	if !from.IsValid() {
		return hostPart(by)
	}
	return from.Addr().String() + ifAny(" at ", service)
}

func slept(e journal.Event) string {
	if e.Slept <= 0 {
		return ""
	}
	return fmt.Sprintf(", slept %v", e.Slept.Round(time.Second))
}

// DidNotWake says that a wake with so many rounds of magic packets failed.
func DidNotWake(attempts int) string {
	return "did not wake" + ifAny(": no answer to ", rounds(attempts))
}

// rounds is how many rounds of magic packets went out, or nothing.
func rounds(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "1 round of magic packets"
	}
	return fmt.Sprintf("%d rounds of magic packets", n)
}

// whyWoken says who wanted what of a machine. Journals of older versions do
// not have it.
func whyWoken(w *machine.LastWake) string {
	switch {
	case !w.Known():
		return "cause not recorded"
	case w.Trigger == machine.BySchedule:
		return "on schedule"
	case w.Trigger == machine.ByAPI && w.Test:
		return "a test requested" + ifAny(" by ", hostPart(w.By))
	case w.Trigger == machine.ByAPI:
		return "requested" + ifAny(" by ", hostPart(w.By))
	}
	who := "an unknown client"
	if w.Source.Addr().IsValid() {
		who = w.Source.Addr().String() // a client's port tells nothing
	}
	return who + " for " + serviceName(w.Service.Port) // of which of its addresses, the events tell
}

// stuck says why an address cannot be claimed, or nothing.
func stuck(a *machine.AddressStatus) string {
	switch a.Standing {
	case machine.Waiting:
		return "waits: " + a.Reason
	case machine.Conceded:
		return "is conceded: " + a.Reason
	}
	return ""
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

// maxNamed is how many services are named in one sentence.
const maxNamed = 5
