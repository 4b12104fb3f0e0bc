package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"nightporter/internal/journal"
	"nightporter/internal/machine"
	"nightporter/internal/web"
)

const wakeHelp = `Have a night porter wake one of its machines.

Without --wait it is done once the porter has taken it up. With --wait the events
of the machine are shown until it is awake, or the wake has failed.

If the porter asks for a token (http.token), it comes from --token-file or from the
environment variable ` + tokenVariable + `.

Exit code 0 means that the porter took it up, and with --wait that the machine is
awake; 2 that it is not within that time; 1 anything else.`

const wakeExample = `  nightporter wake tower --from raspberrypi
  nightporter wake tower --wait 2m && ssh tower`

// tokenVariable is that of the key http.token.
const tokenVariable = "NIGHTPORTER_HTTP__TOKEN"

// wakeFlags are the flags of the wake command.
type wakeFlags struct {
	asker
	tokenFile string
	wait      time.Duration
	json      bool
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
		RunE: func(cmd *cobra.Command, args []string) error {
			cmd.SilenceUsage = true // from here on a mistake is not one of usage
			return f.run(cmd, args[0])
		},
	}
	fs := cmd.Flags()
	f.addTo(fs)
	fs.StringVar(&f.tokenFile, "token-file", "", "the `FILE` that holds the porter's http.token")
	fs.DurationVar(&f.wait, "wait", 0, "follow until it is awake, for so much `TIME` at most, such as 2m")
	fs.BoolVar(&f.json, "json", false, "one JSON object")
	return cmd
}

func (f *wakeFlags) run(cmd *cobra.Command, name string) error {
	if f.wait < 0 {
		return fmt.Errorf("--wait: found %v, expected a time such as 2m, or 0", f.wait)
	}
	client, err := f.client()
	if err != nil {
		return err
	}
	defer client.Close()
	token := os.Getenv(tokenVariable)
	if f.tokenFile != "" {
		if token, err = tokenFromFile(f.tokenFile); err != nil {
			return err
		}
	}
	client.SetToken(token)
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
	if errors.Is(err, web.ErrToken) {
		return fmt.Errorf("%w: expected --token-file, or %s in the environment", err, tokenVariable)
	}
	if err != nil {
		return explain(ctx, client, name, err)
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
