package web

import (
	"fmt"
	"net/netip"
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
	Told    string
	Icon    string // id of a symbol of the page
	Mood    string // class: "good", "bad" or empty
}

func lineOf(e *journal.Event, now time.Time) line {
	l := line{Seq: e.Seq, At: toSecond(e.At, now), Machine: e.Machine, Told: InWords(*e), Icon: "other"}
	switch e.Kind {
	case journal.Ready:
		l.Icon, l.Mood = "done", "good"
		if e.Ready == 0 {
			l.Icon, l.Mood = "trouble", "bad"
		}
	case journal.Failed, journal.Conflict, journal.Refused, journal.Waiting, journal.Elsewhere, journal.Renamed, journal.CommandFailed,
		journal.ReloadFailed:
		l.Icon, l.Mood = "trouble", "bad"
	case journal.Asleep:
		l.Icon = "asleep"
	case journal.Settling:
		l.Icon = "settling"
	case journal.Arrived:
		l.Icon = "arriving"
	case journal.Awake, journal.HandStart:
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
			return fmt.Sprintf("wake of %s asked for%s%s", e.MAC, ifAny(" by ", e.By), ifAny(": ", e.Reason))
		}
		if e.Test {
			return "test asked for" + ifAny(" by ", e.By)
		}
		words := "wake asked for" + ifAny(" by ", e.By)
		if e.Reason != "" {
			words += " " + e.Reason + ": one magic packet sent"
		}
		return words
	case journal.Paused:
		return "paused until " + e.Until.Local().Format(time.DateTime) + ifAny(", by ", e.By) + slept(e)
	case journal.Resumed:
		if e.By == "" {
			return "no longer paused: its time is over"
		}
		return "no longer paused, by " + e.By
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
	case journal.HandStart:
		return "started by itself" + slept(e)
	case journal.Conflict:
		if e.Reason != "" {
			return fmt.Sprintf("%s is left to %s, which tests it: %s", e.IP, e.By, e.Reason)
		}
		return fmt.Sprintf("address conflict: %s is also used by %s", e.IP, e.By)
	case journal.ConflictOver:
		return fmt.Sprintf("address conflict over: no other host answers for %s", e.IP)
	case journal.Waiting:
		return fmt.Sprintf("%s waits, it cannot be claimed at present%s", e.IP, ifAny(": ", e.Reason))
	case journal.Proved:
		return fmt.Sprintf("%s can be claimed now", e.IP)
	case journal.Elsewhere:
		return fmt.Sprintf("is up at another address than it registered: %s", e.IP)
	case journal.Redefined:
		return fmt.Sprintf("registration changed while it slept, from %s", source(e.Source))
	case journal.CardReplaced:
		return fmt.Sprintf("has a new network card: %s instead of %s", e.MAC, e.By)
	case journal.Renamed:
		if e.By != "" {
			return "renamed from " + e.By
		}
		return "has this name in place of its own" + ifAny(": ", e.Reason)
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
		words += ", knows 1 machine from before"
	case e.Machines > 1:
		words += fmt.Sprintf(", knows %d machines from before", e.Machines)
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
		words += fmt.Sprintf(" (first sign after %s)", seconds(e.Boot))
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

// ifAny returns what between and s say, or nothing if there is no s.
func ifAny(between, s string) string {
	if s == "" {
		return ""
	}
	return between + s
}

func slept(e journal.Event) string {
	if e.Slept <= 0 {
		return ""
	}
	return fmt.Sprintf(", slept %v", e.Slept.Round(time.Second))
}

// source leaves out the port where there is none, as for an echo request.
func source(a netip.AddrPort) string {
	if a.Port() == 0 {
		return a.Addr().String()
	}
	return a.String()
}
