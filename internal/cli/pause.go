package cli

import (
	"time"

	"github.com/spf13/cobra"

	"nightporter/internal/config"
	"nightporter/internal/machine"
	"nightporter/internal/shell"
	"nightporter/internal/web"
)

const pauseHelp = `Pause the porter's work for a machine, for instance during maintenance.

During the pause the porter claims no address of the machine and does not watch it, and
nothing wakes it: neither a client nor ` + "`nightporter wake`" + `. After the pause the porter
probes the machine and claims its addresses if it is off. A pause survives restarts of the
porter and lasts at most 30 days.

` + tokenHelp + `

Exit code 0 means that the machine is paused.`

const pauseExample = `  nightporter pause nas --for 2h --from raspberrypi
  nightporter pause nas --until 2026-11-29T08:00`

const resumeHelp = `End a pause of a machine early.

` + tokenHelp + `

Exit code 0 means that the machine is no longer paused.`

// pauseFlags are the flags of the pause command.
type pauseFlags struct {
	changeFlags
	length time.Duration
	until  string
}

// newPauseCommand returns the command "pause".
func newPauseCommand() *cobra.Command {
	var f pauseFlags
	cmd := &cobra.Command{
		Use:               "pause NAME",
		Short:             "Pause the work for a machine",
		Long:              pauseHelp,
		Example:           pauseExample,
		Args:              oneName,
		ValidArgsFunction: f.completeName,
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	fs := cmd.Flags()
	f.addTo(fs)
	f.addJSONTo(fs)
	fs.DurationVar(&f.length, "for", 0, "pause for this `TIME`, such as 2h; at most 720h")
	fs.StringVar(&f.until, "until", "", "pause until this `TIME` in this host's time zone, such as 2026-11-29T08:00")
	return cmd
}

func (f *pauseFlags) run(cmd *cobra.Command, name string) error {
	request, err := f.request(cmd.Flags().Changed("for"))
	if err != nil {
		return err
	}
	client, err := f.client()
	if err != nil {
		return err
	}
	defer client.Close()
	m, err := client.Pause(cmd.Context(), name, request)
	if err != nil {
		return unchanged(name, "paused", explainUnknown(cmd.Context(), client, name, err))
	}
	return f.answer(cmd.OutOrStdout(), m, "%s is paused until %s: nothing is claimed or woken until then, or until `%s`",
		printable(name), localTime(m.PausedUntil), resumeOf(name))
}

// request returns the request of the flags; forGiven says that --for was given.
func (f *pauseFlags) request(forGiven bool) (web.PauseRequest, error) {
	switch {
	case forGiven && f.until != "":
		return web.PauseRequest{}, usagef("--for and --until: give one of them")
	case f.until != "":
		t, err := parseUntil(f.until, time.Local)
		return web.PauseRequest{Until: t.Format(time.RFC3339)}, err
	case !forGiven:
		return web.PauseRequest{}, usagef("found neither --for nor --until, expected one of them, such as --for 2h")
	case f.length < machine.MinPause || f.length > machine.MaxPause:
		return web.PauseRequest{}, usagef("--for: found %s, expected %s to %s", config.Brief(f.length), config.Brief(machine.MinPause), config.Brief(machine.MaxPause))
	}
	return web.PauseRequest{For: f.length.String()}, nil
}

// parseUntil reads a time. A time without a zone is in the zone at.
func parseUntil(s string, at *time.Location) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", time.DateTime} {
		if t, err := time.ParseInLocation(layout, s, at); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usagef("--until: found %q, expected a time such as 2026-11-29T08:00", s)
}

// resumeOf is the command that ends the pause of a machine.
func resumeOf(name string) string { return "nightporter resume " + shell.Quote(printable(name)) }

// newResumeCommand returns the command "resume".
func newResumeCommand() *cobra.Command {
	var c changeFlags
	cmd := &cobra.Command{
		Use:               "resume NAME",
		Short:             "End a pause",
		Long:              resumeHelp,
		Example:           "  nightporter resume nas --from raspberrypi",
		Args:              oneName,
		ValidArgsFunction: c.completeName,
		RunE:              func(cmd *cobra.Command, args []string) error { return c.resume(cmd, args[0]) },
	}
	c.addTo(cmd.Flags())
	c.addJSONTo(cmd.Flags())
	return cmd
}

func (c *changeFlags) resume(cmd *cobra.Command, name string) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	m, err := client.Unpause(cmd.Context(), name)
	if err != nil {
		return unchanged(name, "resumed", explainUnknown(cmd.Context(), client, name, err))
	}
	return c.answer(cmd.OutOrStdout(), m, "%s is no longer paused: the porter probes whether it is off", printable(name))
}
