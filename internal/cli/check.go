package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"nightporter/internal/config"
	"nightporter/internal/notify"
	"nightporter/internal/notifyconf"
)

const checkHelp = `Check the configuration as serve would read it. If it is valid, all keys in effect are
printed on stdout as YAML, with --changed only those that differ from their defaults. On
stderr follow the origin of each changed key, the file that was read, and as the last
line that the configuration is OK. If it is not valid, only the errors are printed, one
a line, each with its key and its place.

The environment file of the systemd unit, ` + config.DefaultEnvironment + `,
is read too, if it exists.

With --host this host is checked instead of printing the configuration: the interfaces,
the ports, the state directory, the capabilities, nftables, and whether the addresses
of the machines can be claimed in its networks. The last line is the verdict. Nothing
is changed.

Exit code 0 means that everything is correct, 1 that something is wrong, 2 that the
command line is wrong.`

const checkExample = `  nightporter check --changed
  sudo nightporter check --host
  sudo nightporter check --notify
  nightporter check --json | jq -r '.errors[]'`

// checkFlags are the flags of the check command, beside those of the configuration.
type checkFlags struct {
	path, environment     string
	notify, changed, host bool
	json                  bool

	report checkReport // about the configuration, with --json and --host
}

func newCheckCommand() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:     "check",
		GroupID: groupPorter,
		Short:   "Check the configuration, and with --host this host",
		Long:    checkHelp,
		Example: checkExample,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	fs := cmd.Flags()
	fs.BoolVar(&f.changed, "changed", false, "print only the keys that differ from their defaults")
	fs.BoolVar(&f.host, "host", false, "check this host: interfaces, ports, state directory, capabilities, nftables")
	fs.BoolVar(&f.json, "json", false, "print one JSON object: the errors, and the keys that differ from their defaults")
	fs.BoolVar(&f.notify, "notify", false, "also send a test message to each of notify.urls")
	fs.StringVar(&f.environment, "environment", config.DefaultEnvironment, "the environment `FILE` of the systemd unit")
	addConfigFlags(cmd, &f.path)
	return cmd
}

func (f *checkFlags) run(cmd *cobra.Command) error {
	if err := errors.Join(onlyOne(cmd, "json", "changed"), onlyOne(cmd, "json", "notify")); err != nil {
		return err
	}
	vars, err := f.readEnvironment(cmd)
	if err != nil {
		return err
	}
	explicit := cmd.Flags().Changed("config")
	conf, origins, err := config.Examine(f.path, explicit, append(vars, environ()...), cmd.Flags(), config.ReadURLs(notify.ReadURL))
	switch {
	case err != nil:
		return f.printErrors(cmd, err)
	case f.json && !f.host:
		return printJSON(cmd.OutOrStdout(), f.newReport(conf, origins))
	case f.json:
		f.report = f.newReport(conf, origins)
		return f.checkHost(cmd, conf, origins)
	case f.host:
		f.summarize(cmd, conf, origins, false)
		err = f.checkHost(cmd, conf, origins)
	default:
		err = f.print(cmd, conf)
		f.summarize(cmd, conf, origins, true)
	}
	if err != nil || !f.notify {
		return err
	}
	return sendTest(cmd, conf.Notify.URLs)
}

// readEnvironment returns the daemon's environment, and prints whether its file was read.
func (f *checkFlags) readEnvironment(cmd *cobra.Command) ([]string, error) {
	vars, err := unitEnvironment(f.environment, cmd.Flags().Changed("environment"))
	switch {
	case errors.Is(err, fs.ErrPermission) && !cmd.Flags().Changed("environment"):
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: not read, permission denied: run `sudo nightporter check`\n", f.environment)
	case err != nil:
		return nil, fmt.Errorf("--environment: %w", err)
	case len(vars) > 0:
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: read\n", f.environment)
	}
	return vars, nil
}

// print prints the configuration in effect.
func (f *checkFlags) print(cmd *cobra.Command, conf *config.Config) error {
	show := conf.YAML
	if f.changed {
		show = conf.ChangedYAML
	}
	out, err := show()
	if err == nil {
		_, err = cmd.OutOrStdout().Write(out)
	}
	return err
}

// summarize prints which file was read, and with keys the origin of each changed key. The
// verdict is the last line, so that it is visible after a long configuration.
func (f *checkFlags) summarize(cmd *cobra.Command, conf *config.Config, origins *config.Origins, keys bool) {
	changed := config.Changed(config.Default(), conf)
	source, w := origins.File, cmd.ErrOrStderr()
	if keys {
		for _, path := range changed {
			fmt.Fprintf(w, "  %s (%s)\n", path, origins.Of(path))
		}
	}
	if source == "" {
		source = "no " + f.path
		for _, path := range similarFiles(f.path) {
			fmt.Fprintf(w, "%s is there, but not read: expected the name %s\n", path, filepath.Base(f.path))
		}
	}
	if waiting := awaitingRegistration(conf); waiting != "" {
		fmt.Fprintf(w, "without agentless: true, nothing is done for a machine until it registers: %s\n", waiting)
	}
	fmt.Fprintf(w, "configuration OK: %s, %s; %d of %d keys differ from their defaults\n",
		source, plural(len(conf.Machines), "machine"), len(changed), len(config.Keys()))
}

// awaitingRegistration names the machines that are not agentless, and so have to register.
func awaitingRegistration(conf *config.Config) string {
	var names []string
	for _, spec := range conf.Machines {
		if !spec.Agentless {
			names = append(names, printable(spec.Name))
		}
	}
	if more := len(names) - maxUnregistered; more > 0 {
		names = append(names[:maxUnregistered], plural(more, "more machine"))
	}
	return strings.Join(names, ", ")
}

// maxUnregistered is how many machines are named.
const maxUnregistered = 5

// similarFiles returns the YAML files in the folder of a missing file.
func similarFiles(path string) []string {
	var found []string
	entries, _ := os.ReadDir(filepath.Dir(path)) // without a folder there are no files
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); !e.IsDir() && (strings.EqualFold(ext, ".yaml") || strings.EqualFold(ext, ".yml")) {
			found = append(found, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	return found
}

// sendTest sends a message to each target, and prints the result for each.
func sendTest(cmd *cobra.Command, targets []notifyconf.Target) error {
	if len(targets) == 0 {
		return fmt.Errorf("notify.urls is empty: nothing to test. Set it in %s, or with the systemd unit in %s as NIGHTPORTER_NOTIFY__URLS=URL",
			config.DefaultPath, config.DefaultEnvironment)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "this host"
	}
	failed := false
	for i, err := range notify.Try(cmd.Context(), targets, notify.Message{
		Title: "nightporter: a test", Text: "Test notification from nightporter on " + host + ".",
	}) {
		outcome := "sent"
		if err != nil {
			outcome, failed = err.Error(), true
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "notify.urls[%d]: %s: %s\n", i, targets[i], outcome)
	}
	if failed {
		return exitCode(1)
	}
	return nil
}
