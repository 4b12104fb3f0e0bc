package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/terminal"

	"github.com/spf13/cobra"

	"nightporter/internal/machine"
	"nightporter/internal/web"
)

const statusHelp = `Show the machines of a porter: asleep or awake, and since when. With NAME it shows
all that the porter knows of one machine.

With --watch it shows them again whenever something happens, until Ctrl-C.

Exit code 0 means that the porter answered and does its work on every interface.`

const statusExample = `  nightporter status --from raspberrypi
  nightporter status --watch
  nightporter status tower --json | jq .state`

// statusFlags are the flags of the status command.
type statusFlags struct {
	asker
	json, keepOn bool
	color        bool
}

// statusJSON is what --json prints without a name.
type statusJSON struct {
	Status   web.Status    `json:"status"`
	Machines []web.Machine `json:"machines"`
}

// newStatusCommand returns the command "status".
func newStatusCommand() *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{
		Use:               "status [NAME]",
		Short:             "Show the machines: asleep or awake, and since when",
		Long:              statusHelp,
		Example:           statusExample,
		Args:              oneNameAtMost,
		ValidArgsFunction: f.completeName,
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	f.addTo(cmd.Flags())
	cmd.Flags().BoolVar(&f.json, "json", false, "print what the API answers")
	cmd.Flags().BoolVarP(&f.keepOn, "watch", "w", false, "show it again whenever something happens, until Ctrl-C")
	return cmd
}

func (f *statusFlags) run(cmd *cobra.Command, args []string) error {
	if err := onlyOne(cmd, "json", "watch"); err != nil {
		return err
	}
	client, err := f.client()
	if err != nil {
		return err
	}
	defer client.Close()
	f.color = terminal.Color(cmd.OutOrStdout())
	if f.keepOn {
		return f.watch(cmd, client, args)
	}
	porter, err := f.show(cmd, client, args, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	if !porter.Ready {
		return fmt.Errorf("the porter is not ready: %s", printable(porter.Reason))
	}
	return nil
}

// show prints what was asked for, and how the porter is.
func (f *statusFlags) show(cmd *cobra.Command, client *web.Client, args []string, warnings io.Writer) (web.Status, error) {
	porter, err := client.Status(cmd.Context())
	if err != nil {
		return porter, err
	}
	warnConfig(warnings, porter.Config)
	if len(args) > 0 {
		err = f.one(cmd, client, args[0])
	} else {
		err = f.all(cmd, client, porter)
	}
	if err == nil {
		warn(warnings, porter)
	}
	return porter, err
}

// warn says what is not as it should be, though the porter works.
func warn(w io.Writer, s web.Status) {
	if !s.Guard.Active && s.Guard.Reason != "" {
		fmt.Fprintln(w, "guard:", printable(s.Guard.Reason))
	}
	if !s.Journal.Healthy {
		fmt.Fprintln(w, "journal:", printable(s.Journal.Reason))
	}
}

func (f *statusFlags) all(cmd *cobra.Command, client *web.Client, porter web.Status) error {
	machines, err := client.Machines(cmd.Context())
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), statusJSON{porter, machines})
	}
	fmt.Fprintln(cmd.OutOrStdout(), porterLine(client.Host(), porter, machines))
	if len(machines) == 0 {
		return nil
	}
	now := time.Now()
	rows := [][]string{{"MACHINE", "STATE", "SINCE", "SLEPT", "SAVED", "LAST WAKE"}}
	for _, m := range machines {
		row := []string{printable(m.Name), stateOf(&m), since(m.Since, now), howLong(m.SleptSeconds), web.Energy(m.SavedJoules), lastWake(m.LastWake, now)}
		rows = append(rows, append(row, mark(&m)...))
	}
	const stateColumn = 1
	err = writeRows(cmd.OutOrStdout(), rows, func(column int, cell, padded string) string {
		if column != stateColumn || !f.color {
			return padded
		}
		return painted(cell, padded)
	})
	if line := countedSince(machines); err == nil && line != "" {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), line)
	}
	return err
}

func (f *statusFlags) one(cmd *cobra.Command, client *web.Client, name string) error {
	m, err := client.Machine(cmd.Context(), name)
	if err != nil {
		return explain(cmd.Context(), client, name, err)
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), m)
	}
	history, err := client.History(cmd.Context(), name)
	if err != nil && !errors.Is(err, web.ErrNotServed) { // by an older porter
		return err
	}
	table := newTable(cmd.OutOrStdout())
	row := func(name string, value any) { fmt.Fprintf(table, "%s\t%v\n", name, value) }
	row("machine", printable(m.Name))
	row("MAC", m.MAC)
	if m.WakeMAC != (ether.MAC{}) {
		row("woken by", m.WakeMAC)
	}
	row("state", f.state(&m))
	if m.PausedUntil != "" {
		row("paused until", moment(m.PausedUntil)+": nothing is claimed or woken; `"+resumeOf(m.Name)+"` ends that")
	}
	row("since", momentAgo(m.Since, time.Now()))
	if m.Arrival != nil {
		row("waits for", printable(m.Arrival.InWords(time.Now())))
	}
	if m.Agentless {
		row("agentless", "yes: it need not register")
	}
	if m.Awaits {
		row("registered", "never: until it registers it is neither watched nor claimed; or set agentless: true")
	}
	for _, a := range m.Monitor {
		row("address", a.IP+" "+ofGuest(a.MAC)+cmp.Or(strings.Join(a.Port, " "), "(does not wake)")+standing(m.Addresses, a.IP))
	}
	row("slept", howLong(m.SleptSeconds)+sleptLately(m.SleptDays)+sinceThen(m.CountedSince))
	row("saved", fmt.Sprintf("%s (%g W awake, %g W asleep)", web.Energy(m.SavedJoules), m.IdleWatts, m.SleepWatts))
	row("last wake", wakeStory(m.LastWake))
	row("wakes", counts(m.Wakes))
	for i, line := range wakesLately(&history) {
		row([...]string{"clients, 7 days", ""}[min(i, 1)], line)
	}
	row("failed wakes", counts(m.WakeFailures))
	row("magic packets", m.WakeAttempts)
	row("knocks ignored", counts(m.Suppressed))
	for i := range m.Ignored[:min(len(m.Ignored), shownIgnored)] {
		row("ignored", ignoredStory(&m.Ignored[i]))
	}
	row("started by itself", m.ExternalStarts)
	row("address conflicts", m.Conflicts)
	return table.Flush()
}

// shownIgnored is how many of the ignored packets are shown. The command "why" has all.
const shownIgnored = 3

// ignoredStory tells of packets that did not wake a machine, and why.
func ignoredStory(i *web.Ignored) string {
	return fmt.Sprintf("%s from %s, %d times, last %s: %s", cmp.Or(printable(i.Service), "more ports"), i.Source.Addr(), i.Count,
		moment(i.Last), printable(i.Because()))
}

// ofGuest says whose address it is, where it is not the machine's own.
func ofGuest(mac ether.MAC) string {
	if mac == (ether.MAC{}) {
		return ""
	}
	return "of guest " + mac.String() + " "
}

// standing says how an address stands, and why it cannot be claimed.
func standing(all []web.Standing, ip string) string {
	i := slices.IndexFunc(all, func(s web.Standing) bool { return s.IP == ip })
	if i < 0 {
		return "" // an older porter says nothing of it
	}
	words := ": " + all[i].Standing.String()
	if all[i].Reason != "" {
		words += " (" + printable(all[i].Reason) + ")"
	}
	return words
}

// mark is what the list says of a machine with addresses that cannot be claimed, or that
// has not registered so far: a cell, or none.
func mark(m *web.Machine) []string {
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

// lastWake shows when a machine was last woken.
func lastWake(w *web.LastWake, now time.Time) string {
	if w == nil {
		return "never"
	}
	return since(w.At, now)
}

// wakeStory tells who woke a machine last, what for, and what came of it.
func wakeStory(w *web.LastWake) string {
	if w == nil {
		return "never"
	}
	words := momentAgo(w.At, time.Now())
	if w.Test {
		words += ", a test"
	}
	if who := web.Wanted(w.Source, w.Service, w.By); who != "" {
		words += ", for " + printable(who)
	}
	if w.Outcome != machine.Over || w.Trigger != "" { // nothing is known of one from an old journal
		words += ": " + cameOf(w)
	}
	if w.BootSeconds > 0 {
		words += fmt.Sprintf(", boot %.1f s", w.BootSeconds)
	}
	if w.ReadySeconds > 0 {
		words += fmt.Sprintf(", ready %.1f s", w.ReadySeconds)
	}
	return words
}

// cameOf says what came of a wake.
func cameOf(w *web.LastWake) string {
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
	machine.Over: "ended without us", machine.UnderWay: "under way", machine.Served: "ready", machine.Unready: "handed over unready",
}

// sleptLately tells of today and of this week.
func sleptLately(days []web.Day) string {
	if len(days) == 0 {
		return ""
	}
	var week float64
	for _, d := range days {
		week += d.Seconds
	}
	return fmt.Sprintf(" (today %s, last %d days %s)", howLong(days[len(days)-1].Seconds), len(days), howLong(week))
}

// mostClients is how many clients are shown of one machine.
const mostClients = 5

// wakesLately tells which clients woke a machine in the last seven days.
func wakesLately(h *web.History) []string {
	var lines []string
	for _, c := range h.Clients[:min(mostClients, len(h.Clients))] {
		lines = append(lines, fmt.Sprintf("%s: %s, last %s for %s", cmp.Or(printable(c.Client), "(not recorded)"),
			many(c.Wakes, "wake"), moment(c.Last), cmp.Or(printable(c.Service), "the API")))
	}
	if more := len(h.Clients) - len(lines); more > 0 {
		lines = append(lines, "and "+many(more, "more client"))
	}
	if h.MoreWakes > 0 {
		lines = append(lines, "and "+many(h.MoreWakes, "older wake")+", not kept one by one")
	}
	return lines
}

func many(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}

// moment shows a time of the API on the clock of this host.
func moment(s string) string {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return printable(s)
	}
	return t.Local().Format(time.DateTime)
}

// since shows how long ago a time of the API was.
func since(s string, now time.Time) string {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return printable(s)
	}
	return web.Ago(t, now)
}

// momentAgo shows a time of the API on the clock of this host, and how long ago it was.
func momentAgo(s string, now time.Time) string {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return printable(s)
	}
	return t.Local().Format(time.DateTime) + " (" + web.Ago(t, now) + ")"
}

func howLong(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
}

// counts lists what is not 0, by name.
func counts(of map[string]uint64) string {
	var sum uint64
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		if n := of[name]; n > 0 {
			sum += n
			parts = append(parts, fmt.Sprintf("%s %d", printable(name), n))
		}
	}
	if sum == 0 {
		return "0"
	}
	return fmt.Sprintf("%d (%s)", sum, strings.Join(parts, ", "))
}
