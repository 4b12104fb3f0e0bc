package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"nightporter/internal/journal"
	"nightporter/internal/web"
)

const eventsHelp = `Show what happened to the machines of a night porter, oldest first: the newest
events that it remembers, of the last 1,000.

With --follow it goes on with each new event as it happens, until Ctrl-C; if the
porter stops, that is an error. Exit code 0 means that the porter answered.`

const eventsExample = `  nightporter events --machine tower -n 20
  nightporter events --from http://raspberrypi:9717 --follow --json | jq .kind`

// eventsFlags are the flags of the events command.
type eventsFlags struct {
	asker
	machine      string
	number       int
	follow, json bool
}

// newEventsCommand returns the command "events".
func newEventsCommand() *cobra.Command {
	var f eventsFlags
	cmd := &cobra.Command{
		Use:     "events",
		Short:   "Show what happened to the machines",
		Long:    eventsHelp,
		Example: eventsExample,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SilenceUsage = true // from here on a mistake is not one of usage
			return f.run(cmd)
		},
	}
	fs := cmd.Flags()
	f.addTo(fs)
	fs.BoolVarP(&f.follow, "follow", "f", false, "go on with new events as they happen")
	fs.StringVar(&f.machine, "machine", "", "only those of the machine with this `NAME`")
	fs.IntVarP(&f.number, "number", "n", 100, "how `MANY` of those that have been; 0, with --follow, is none")
	fs.BoolVar(&f.json, "json", false, "one JSON object a line")
	f.completeFlag(cmd, "machine")
	return cmd
}

func (f *eventsFlags) run(cmd *cobra.Command) error {
	least := 1
	if f.follow {
		least = 0
	}
	if f.number < least || f.number > web.MaxEvents {
		return fmt.Errorf("--number: found %d, expected %d to %d", f.number, least, web.MaxEvents)
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
		return f.goOn(cmd.Context(), client, q, show)
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
	if len(all) == 0 && !f.json {
		fmt.Fprintln(cmd.ErrOrStderr(), "no events")
	}
	return nil
}

// goOn shows events until the user has seen enough.
func (f *eventsFlags) goOn(ctx context.Context, client *web.Client, q web.EventQuery, show func(journal.Event) error) error {
	if f.number > 0 {
		q.Since = new(uint64)
	}
	err := client.Follow(ctx, q, show)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func showJSON(w io.Writer) func(journal.Event) error {
	out := json.NewEncoder(w)
	return func(e journal.Event) error { return out.Encode(e) }
}

// showTable returns what prints a line for each event: when, which machine, what.
// A column is as wide as its longest entry yet, since nobody knows what follows.
func showTable(w io.Writer) func(journal.Event) error {
	width := 12
	return func(e journal.Event) error {
		name := printable(e.Machine)
		if name == "" {
			name = "-"
		}
		width = max(width, utf8.RuneCountInString(name))
		_, err := fmt.Fprintf(w, "%s  %-*s  %s\n", e.At.Local().Format(time.DateTime), width, name, printable(inWords(e)))
		return err
	}
}

// printable takes out what would control a terminal: names and reasons come from
// the network.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, s)
}

// inWords says what happened.
func inWords(e journal.Event) string {
	switch e.Kind {
	case journal.Registered:
		return "registered"
	case journal.Refused:
		return fmt.Sprintf("registration of %s from %s refused%s", e.MAC, source(e.Source), ifAny(": ", e.Reason))
	case journal.Knock:
		return fmt.Sprintf("knock from %s at %s", source(e.Source), e.Service)
	case journal.Suppressed:
		return fmt.Sprintf("knock from %s at %s does not wake%s", source(e.Source), e.Service, ifAny(": ", e.Reason))
	case journal.Asked:
		return "wake asked for" + ifAny(" by ", e.By)
	case journal.Magic:
		return fmt.Sprintf("magic packet %d", e.Attempts)
	case journal.Arrived:
		return "its system speaks"
	case journal.Ready:
		return inWordsReady(e)
	case journal.Failed:
		return fmt.Sprintf("wake given up after %d magic packets%s", e.Attempts, ifAny(", for ", client(e.Source, e.Service, e.By)))
	case journal.HandStart:
		return "started without us" + slept(e)
	case journal.Conflict:
		return fmt.Sprintf("address conflict: %s is also used by %s", e.IP, e.By)
	case journal.ConflictOver:
		return fmt.Sprintf("address conflict over: nobody else answers for %s", e.IP)
	default: // and what only a newer porter tells
		return strings.ReplaceAll(string(e.Kind), "_", " ") + ifAny(": ", e.Reason) + slept(e)
	}
}

// inWordsReady tells a handover, which may have been one to a machine that was
// not ready.
func inWordsReady(e journal.Event) string {
	words := "ready"
	if e.Ready == 0 && e.Reason != "" {
		words = e.Reason
	}
	if e.Boot > 0 {
		words += fmt.Sprintf(", boot %.1f s", e.Boot.Seconds())
	}
	if e.Ready > 0 {
		words += fmt.Sprintf(", ready %.1f s", e.Ready.Seconds())
	}
	return words + ifAny(", for ", client(e.Source, e.Service, e.By))
}

// client says who wants a machine, and what of it: a knock has a source and a
// service, and any other wake somebody who asked.
func client(from netip.AddrPort, service, by string) string {
	if !from.IsValid() {
		return by
	}
	return source(from) + ifAny(" at ", service)
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
