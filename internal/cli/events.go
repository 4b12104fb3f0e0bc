package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/web"
)

const eventsHelp = `Show the events of a porter's machines, oldest first. The porter keeps the last 1,000.

With --follow it then shows each new event, until Ctrl-C. If the porter stops, that is an
error. Exit code 0 means that the porter answered.`

const eventsExample = `  nightporter events --machine tower -n 20
  nightporter events --from http://raspberrypi:9717 --follow --json | jq .kind`

// eventsFlags are the flags of the events command.
type eventsFlags struct {
	clientFlags
	machine      string
	number       int
	follow, json bool
}

// newEventsCommand returns the command "events".
func newEventsCommand() *cobra.Command {
	var f eventsFlags
	cmd := &cobra.Command{
		Use:     "events",
		Short:   "Show the events of the machines",
		Long:    eventsHelp,
		Example: eventsExample,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	fs := cmd.Flags()
	f.addTo(fs)
	fs.BoolVarP(&f.follow, "follow", "f", false, "then show new events as they happen")
	fs.StringVar(&f.machine, "machine", "", "show only events of the machine with this `NAME`")
	fs.IntVarP(&f.number, "number", "n", 100, "show the last `N` past events; 0 with --follow shows none")
	fs.BoolVar(&f.json, "json", false, "print one JSON object a line")
	f.completeFlag(cmd, "machine")
	return cmd
}

func (f *eventsFlags) run(cmd *cobra.Command) error {
	least := 1
	if f.follow {
		least = 0
	}
	if f.number < least || f.number > web.MaxEvents {
		return usagef("--number: found %d, expected %d to %d", f.number, least, web.MaxEvents)
	}
	client, err := f.client()
	if err != nil {
		return err
	}
	defer client.Close()
	show := showTable(cmd.OutOrStdout())
	if f.json {
		show = showJSON(cmd.OutOrStdout())
	}
	q := web.EventQuery{Machine: f.machine, Limit: f.number}
	if f.follow {
		if err := f.checkMachine(cmd.Context(), client); err != nil {
			return err
		}
		return f.stream(cmd.Context(), client, q, show)
	}
	all, err := client.Events(cmd.Context(), q)
	if err != nil {
		return err
	}
	for _, e := range all {
		if err := show(e); err != nil {
			return err
		}
	}
	if len(all) > 0 {
		return nil
	}
	if err := f.checkMachine(cmd.Context(), client); err != nil {
		return err
	}
	if !f.json {
		fmt.Fprintln(cmd.ErrOrStderr(), "no events")
	}
	return nil
}

// checkMachine refuses a name that no machine and no past event has.
func (f *eventsFlags) checkMachine(ctx context.Context, client *web.Client) error {
	if f.machine == "" {
		return nil
	}
	_, err := client.Machine(ctx, f.machine)
	if !errors.Is(err, machine.ErrUnknown) {
		return err
	}
	past, pastErr := client.Events(ctx, web.EventQuery{Machine: f.machine, Limit: 1})
	if pastErr != nil || len(past) > 0 {
		return pastErr // a machine with past events may have been forgotten
	}
	return fmt.Errorf("--machine: %w", explainUnknown(ctx, client, f.machine, err))
}

// stream shows events until Ctrl-C.
func (f *eventsFlags) stream(ctx context.Context, client *web.Client, q web.EventQuery, show func(journal.Event) error) error {
	if f.number > 0 {
		q.Since = new(uint64)
	}
	err := client.Follow(ctx, q, show)
	if wasInterrupted(ctx, err) {
		return nil
	}
	return err
}

func showJSON(w io.Writer) func(journal.Event) error {
	out := json.NewEncoder(w)
	return func(e journal.Event) error { return out.Encode(e) }
}

// showTable returns a function that prints one line for an event: time, machine, text.
// The column of machines grows with the longest name so far.
func showTable(w io.Writer) func(journal.Event) error {
	width := 12
	return func(e journal.Event) error {
		name := printable(e.Machine)
		if name == "" {
			name = "-"
		}
		width = max(width, utf8.RuneCountInString(name))
		_, err := fmt.Fprintf(w, "%s  %-*s  %s\n", e.At.Local().Format(time.DateTime), width, name, printable(web.InWords(e)))
		return err
	}
}
