package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/web"
)

const wakeHelp = `Have a porter wake one of its machines.

Without --wait it returns once the porter has accepted the request. With --wait the
events of the machine are shown until it is awake, or the wake has failed.

` + tokenHelp + `

Exit code 0 means that the porter accepted it, and with --wait that the machine is
awake; 2 that it is not awake within that time, or that the command line is wrong;
1 anything else.`

const wakeExample = `  nightporter wake tower --from raspberrypi
  nightporter wake tower --wait 2m && ssh tower`

// wakeFlags are the flags of the wake command.
type wakeFlags struct {
	changer
	wait time.Duration
	json bool
}

// newWakeCommand returns the command "wake".
func newWakeCommand() *cobra.Command {
	var f wakeFlags
	cmd := &cobra.Command{
		Use:               "wake NAME",
		Short:             "Wake a machine",
		Long:              wakeHelp,
		Example:           wakeExample,
		Args:              oneName,
		ValidArgsFunction: f.completeName,
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	fs := cmd.Flags()
	f.addTo(fs)
	fs.DurationVar(&f.wait, "wait", 0, "wait until it is awake, for this `TIME` at most, such as 2m")
	fs.BoolVar(&f.json, "json", false, "print one JSON object")
	return cmd
}

func (f *wakeFlags) run(cmd *cobra.Command, name string) error {
	if f.wait < 0 {
		return usagef("--wait: found %v, expected a time such as 2m, or 0", f.wait)
	}
	client, err := f.client()
	if err != nil {
		return err
	}
	defer client.Close()
	return f.wake(cmd, client, name)
}

func (f *wakeFlags) wake(cmd *cobra.Command, client *web.Client, name string) error {
	ctx := cmd.Context()
	w := wait{client: client, name: name, show: showTable(cmd.OutOrStdout()), began: time.Now()}
	if f.json {
		w.show = func(journal.Event) error { return nil }
	}
	if f.wait > 0 {
		if err := w.remember(ctx); err != nil {
			return err
		}
	}
	m, err := client.Wake(ctx, name)
	if err != nil {
		return unchanged(name, "woken", explain(ctx, client, name, err))
	}
	if f.wait == 0 {
		return f.tell(cmd, m, name, m.State.String())
	}
	done := outcome{Machine: name, Awake: m.State == machine.Awake}
	if !done.Awake {
		if done, err = w.follow(ctx, f.wait); err != nil {
			return err
		}
	}
	if err := f.tell(cmd, done, name, done.inWords()); err != nil {
		return err
	}
	return done.code()
}

// tell prints how it is, for programs or for people.
func (f *wakeFlags) tell(cmd *cobra.Command, v any, name, words string) error {
	if f.json {
		return printJSON(cmd.OutOrStdout(), v)
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is %s\n", printable(name), words)
	return err
}
