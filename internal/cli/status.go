package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/terminal"

	"github.com/spf13/cobra"

	"nightporter/internal/web"
)

const statusHelp = `Show the machines of a porter: asleep or awake, and since when. With NAME it shows
everything that the porter knows about one machine.

With --watch it shows them again after each event, until Ctrl-C.

Exit code 0 means that the porter answered and works on every interface.`

const statusExample = `  nightporter status --from raspberrypi
  nightporter status --watch
  nightporter status tower --json | jq .state`

// statusFlags are the flags of the status command.
type statusFlags struct {
	clientFlags
	json, repeat bool
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
	cmd.Flags().BoolVar(&f.json, "json", false, "print the API's JSON")
	cmd.Flags().BoolVarP(&f.repeat, "watch", "w", false, "show it again after each event, until Ctrl-C")
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
	if f.repeat {
		return f.watchMachines(cmd, client, args)
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

// show prints one machine or all, and returns the state of the porter.
func (f *statusFlags) show(cmd *cobra.Command, client *web.Client, args []string, warnings io.Writer) (web.Status, error) {
	porter, err := client.Status(cmd.Context())
	if err != nil {
		return porter, err
	}
	warnConfig(warnings, porter.Config)
	if len(args) > 0 {
		err = f.printMachine(cmd, client, args[0])
	} else {
		err = f.printMachines(cmd, client, porter)
	}
	if err == nil {
		warnStatus(warnings, porter)
	}
	return porter, err
}

func (f *statusFlags) printMachines(cmd *cobra.Command, client *web.Client, porter web.Status) error {
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
		row := []string{printable(m.Name), stateCell(&m), ago(m.Since, now), durationText(m.SleptSeconds), web.Energy(m.SavedJoules), lastWakeCell(m.LastWake, now)}
		rows = append(rows, append(row, warningCell(&m)...))
	}
	const stateColumn = 1
	err = writeRows(cmd.OutOrStdout(), rows, func(column int, cell, padded string) string {
		if column != stateColumn || !f.color {
			return padded
		}
		return colorize(cell, padded)
	})
	if line := countedSince(machines); err == nil && line != "" {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), line)
	}
	return err
}

func (f *statusFlags) printMachine(cmd *cobra.Command, client *web.Client, name string) error {
	m, err := client.Machine(cmd.Context(), name)
	if err != nil {
		return explainUnknown(cmd.Context(), client, name, err)
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), m)
	}
	history, err := client.History(cmd.Context(), name)
	if err != nil && !errors.Is(err, web.ErrNotServed) { // an older porter has no history
		return err
	}
	table := newTable(cmd.OutOrStdout())
	row := func(name string, value any) { fmt.Fprintf(table, "%s\t%v\n", name, value) }
	row("machine", printable(m.Name))
	row("MAC", m.MAC)
	if m.WakeMAC != (ether.MAC{}) {
		row("woken by", m.WakeMAC)
	}
	row("state", f.coloredState(&m))
	if m.PausedUntil != "" {
		row("paused until", localTime(m.PausedUntil)+": nothing is claimed or woken; `"+resumeOf(m.Name)+"` ends that")
	}
	row("since", localTimeAgo(m.Since, time.Now()))
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
		row("address", a.IP+" "+ownerText(a.MAC)+cmp.Or(strings.Join(a.Port, " "), "(does not wake)")+standingText(m.Addresses, a.IP))
	}
	row("slept", durationText(m.SleptSeconds)+recentSleep(m.SleptDays)+sinceText(m.CountedSince))
	row("saved", fmt.Sprintf("%s (%g W awake, %g W asleep)", web.Energy(m.SavedJoules), m.IdleWatts, m.SleepWatts))
	row("last wake", lastWakeText(m.LastWake))
	row("wakes", sumText(m.Wakes))
	for i, line := range recentWakes(&history) {
		row([...]string{"clients, 7 days", ""}[min(i, 1)], line)
	}
	row("failed wakes", sumText(m.WakeFailures))
	row("magic packets", m.WakeAttempts)
	row("knocks ignored", sumText(m.Suppressed))
	for i := range m.Ignored[:min(len(m.Ignored), maxIgnored)] {
		row("ignored", ignoredText(&m.Ignored[i]))
	}
	row("external starts", m.ExternalStarts)
	row("address conflicts", m.Conflicts)
	return table.Flush()
}
