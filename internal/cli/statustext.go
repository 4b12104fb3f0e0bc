package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
	"nightporter/internal/web"
)

// warnConfig says that the porter does not use the configuration in its file, and why.
func warnConfig(w io.Writer, c web.ConfigState) {
	if len(c.Restart) > 0 {
		fmt.Fprintf(w, "configuration: restart nightporter, so that changes of %s take effect\n", printable(strings.Join(c.Restart, ", ")))
	}
	if c.Healthy || c.Reason == "" { // an older porter does not send it
		return
	}
	fmt.Fprintf(w, "configuration not reloaded; the porter still uses the configuration from %s:\n", c.Loaded.Local().Format(time.DateTime))
	for line := range strings.SplitSeq(c.Reason, "; ") { // one for each error
		fmt.Fprintln(w, "  "+printable(line))
	}
}

// countedSince says since when SLEPT and SAVED count. It is empty unless that is known for
// each machine.
func countedSince(machines []web.Machine) string {
	byTime := func(a, b web.Machine) int { return strings.Compare(a.CountedSince, b.CountedSince) }
	first, last := slices.MinFunc(machines, byTime).CountedSince, slices.MaxFunc(machines, byTime).CountedSince
	switch {
	case first == "":
		return ""
	case localDate(first) == localDate(last):
		return "SLEPT and SAVED count since " + localDate(first)
	}
	return fmt.Sprintf("SLEPT and SAVED count since each machine was first known, the first on %s, the last on %s", localDate(first), localDate(last))
}

// sinceText says since when a figure counts. It is empty if that is unknown.
func sinceText(s string) string {
	if s == "" {
		return ""
	}
	return ", since " + localTime(s)
}

// porterLine is one line about the porter and its machines.
func porterLine(host string, porter web.Status, machines []web.Machine) string {
	line := fmt.Sprintf("porter %s at %s: ready", cmp.Or(printable(porter.Version), "of an unknown version"), host)
	if !porter.Ready {
		line = strings.TrimSuffix(line, "ready") + "not ready"
	}
	if len(machines) == 0 {
		return line + ", no machine yet"
	}
	asleep, failed := 0, 0
	for _, m := range machines {
		if m.State == machine.Asleep {
			asleep++
		}
		if m.WakeFailed {
			failed++
		}
	}
	line = fmt.Sprintf("%s, %d of %d machines asleep", line, asleep, len(machines))
	if failed > 0 {
		line += fmt.Sprintf(", %d did not wake", failed)
	}
	return line
}

// stateCell is a machine's state in the list.
func stateCell(m *web.Machine) string {
	if m.PausedUntil != "" {
		return "paused until " + localTime(m.PausedUntil)
	}
	return stateText(m)
}

// stateText is a machine's state, and whether its last wake failed.
func stateText(m *web.Machine) string {
	if m.WakeFailed {
		return m.State.String() + wakeFailedSuffix
	}
	return m.State.String()
}

// coloredState is stateText, in color if the output takes color.
func (f *statusFlags) coloredState(m *web.Machine) string {
	words := stateText(m)
	if f.color {
		return colorize(words, words)
	}
	return words
}

// warnStatus prints the failures of the guard and of the journal, with which the porter
// still works.
func warnStatus(w io.Writer, s web.Status) {
	if !s.Guard.Active && s.Guard.Reason != "" {
		fmt.Fprintln(w, "guard:", printable(s.Guard.Reason))
	}
	if !s.Journal.Healthy {
		fmt.Fprintln(w, "journal:", printable(s.Journal.Reason))
	}
}

// maxIgnored is how many ignored packets are shown. The command "why" has all.
const maxIgnored = 3

// ignoredText describes packets that did not wake a machine, and why.
func ignoredText(i *web.Ignored) string {
	return fmt.Sprintf("%s from %s, %d times, last %s: %s", cmp.Or(printable(i.Service), "more ports"), i.Source.Addr(), i.Count,
		localTime(i.Last), printable(i.Because()))
}

// ownerText names the guest that has an address. It is empty if the machine itself has it.
func ownerText(mac ether.MAC) string {
	if mac == (ether.MAC{}) {
		return ""
	}
	return "of guest " + mac.String() + " "
}

// standingText is the standing of an address, and why the address cannot be claimed.
func standingText(all []web.Standing, ip string) string {
	i := slices.IndexFunc(all, func(s web.Standing) bool { return s.IP == ip })
	if i < 0 {
		return "" // an older porter does not send it
	}
	words := ": " + all[i].Standing.String()
	if all[i].Reason != "" {
		words += " (" + printable(all[i].Reason) + ")"
	}
	return words
}

// warningCell is a cell about addresses that cannot be claimed, or about a registration that
// is missing; or no cell.
func warningCell(m *web.Machine) []string {
	if m.Awaits {
		return []string{"! waits for its first registration"}
	}
	stuck := slices.DeleteFunc(slices.Clone(m.Addresses), func(s web.Standing) bool { return !s.Stuck() })
	switch len(stuck) {
	case 0:
		return nil
	case 1:
		return []string{fmt.Sprintf("! %s %s", stuck[0].IP, stuck[0].Standing)}
	}
	return []string{fmt.Sprintf("! %d addresses cannot be claimed", len(stuck))}
}

// lastWakeCell says how long ago a machine was last woken.
func lastWakeCell(w *web.LastWake, now time.Time) string {
	if w == nil {
		return "never"
	}
	return ago(w.At, now)
}

// lastWakeText says who woke a machine last, for which service, and with which outcome.
func lastWakeText(w *web.LastWake) string {
	if w == nil {
		return "never"
	}
	words := localTimeAgo(w.At, time.Now())
	if w.Test {
		words += ", a test"
	}
	if who := web.Wanted(w.Source, w.Service, w.By); who != "" {
		words += ", for " + printable(who)
	}
	if w.Outcome != machine.Over || w.Trigger != "" { // an old journal has no outcome
		words += ": " + outcomeText(w)
	}
	if w.BootSeconds > 0 {
		words += fmt.Sprintf(", boot %.1f s", w.BootSeconds)
	}
	if w.ReadySeconds > 0 {
		words += fmt.Sprintf(", ready %.1f s", w.ReadySeconds)
	}
	return words
}

// outcomeText is the outcome of a wake.
func outcomeText(w *web.LastWake) string {
	if w.Outcome == machine.GivenUp {
		return web.DidNotWake(w.Attempts)
	}
	words := outcomeWords[w.Outcome]
	if len(w.NotReady) > 0 {
		words += " (" + printable(web.NotReady(w.NotReady)) + ")"
	}
	return words
}

var outcomeWords = map[machine.Outcome]string{
	machine.Over: "ended without the porter", machine.UnderWay: "under way", machine.Served: "ready", machine.Unready: "handed over unready",
}

// recentSleep says how long a machine slept today and in the last days.
func recentSleep(days []web.Day) string {
	if len(days) == 0 {
		return ""
	}
	var week float64
	for _, d := range days {
		week += d.Seconds
	}
	return fmt.Sprintf(" (today %s, last %d days %s)", durationText(days[len(days)-1].Seconds), len(days), durationText(week))
}

// maxClients is how many clients of one machine are shown.
const maxClients = 5

// recentWakes lists the clients that woke a machine in the last seven days.
func recentWakes(h *web.History) []string {
	var lines []string
	for _, c := range h.Clients[:min(maxClients, len(h.Clients))] {
		lines = append(lines, fmt.Sprintf("%s: %s, last %s for %s", cmp.Or(printable(c.Client), "(not recorded)"),
			plural(c.Wakes, "wake"), localTime(c.Last), cmp.Or(printable(c.Service), "the API")))
	}
	if more := len(h.Clients) - len(lines); more > 0 {
		lines = append(lines, "and "+plural(more, "more client"))
	}
	if h.MoreWakes > 0 {
		lines = append(lines, "and "+plural(h.MoreWakes, "older wake")+", not kept one by one")
	}
	return lines
}
