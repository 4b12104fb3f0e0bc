package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	// The container image has no zone files, and TZ names the zone of wake.quiet_hours.
	_ "time/tzdata"

	"github.com/prometheus/common/version"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"nightporter/internal/config"
	"nightporter/internal/daemon"
	"nightporter/internal/journal"
	"nightporter/internal/privilege"
	"nightporter/internal/shell"
)

const serveHelp = `Run the porter in the foreground until SIGTERM or Ctrl-C. SIGHUP reloads the
configuration; if the new one is not valid, the old one stays in effect.

Machines register at TCP port 13717 (registration.listen). Metrics, API and status
page are at TCP port 9717 (http.listen).

The configuration is in ` + config.DefaultPath + `, which may be missing. Each key
is also an environment variable (wake.attempts: NIGHTPORTER_WAKE__ATTEMPTS) and, except
machines and secrets, a flag. A flag overrides a variable, and a variable overrides the
file. ` + "`nightporter check`" + ` prints the configuration in effect.

Exit code 0 means that the porter was stopped, 1 that it could not start or failed, 2
that the command line is wrong.`

const serveExample = `  sudo nightporter serve
  nightporter serve --config ./config.yaml --log.level debug`

func newServeCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:     "serve",
		GroupID: groupPorter,
		Short:   "Run the porter until it is stopped",
		Long:    serveHelp,
		Example: serveExample,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := serve(cmd.Context(), path, func() (*config.Config, error) { return load(cmd, path) }, cmd.ErrOrStderr())
			if err != nil {
				daemon.ReportFailure(err)
			}
			return err
		},
	}
	addConfigFlags(cmd, &path)
	return cmd
}

// serve runs the daemon until ctx ends. SIGHUP reloads the configuration, of which the file
// at path is one part.
func serve(ctx context.Context, path string, load func() (*config.Config, error), stderr io.Writer) error {
	conf, err := load()
	if err != nil {
		return fmt.Errorf("the configuration is not valid:\n%w", err)
	}
	lowerGCPercent()
	var level slog.LevelVar
	level.Set(conf.Log.Level)
	log := newLogger(stderr, conf.Log.Format, &level)
	log.Info("starting nightporter", "event", "starting", "version", cmp.Or(version.Version, "unknown"), "pid", os.Getpid())
	d, err := openDaemon(conf, path, log, &level)
	if err != nil {
		return err
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.Run(ctx) })
	g.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-hangup:
				reload(ctx, d, load, log)
			}
		}
	})
	err = g.Wait()
	log.Info("stopped", "event", "stopped")
	return err
}

// openDaemon opens the daemon and drops privileges on the way: it becomes the user before the
// first file or socket is opened, so that the user owns what the daemon creates, and drops
// the capabilities for opening before the first packet is read.
func openDaemon(conf *config.Config, path string, log *slog.Logger, level *slog.LevelVar) (*daemon.Daemon, error) {
	user, err := privilege.Find(conf.User)
	if err != nil {
		return nil, fmt.Errorf("user: %w", err)
	}
	started := os.Geteuid()
	if err := privilege.Own(conf.StateDir, user, journal.Keeps); err != nil {
		return nil, fmt.Errorf("state_dir: %w", err)
	}
	if err := privilege.Become(user, privilege.Opening); err != nil {
		return nil, fmt.Errorf("user: %w", err)
	}
	d, err := daemon.New(conf, version.Version, log, level)
	if errors.Is(err, syscall.EACCES) && started != user.UID {
		err = fmt.Errorf("%w; nightporter runs as %s, see user", err, user.Name)
	}
	if err != nil {
		return nil, err
	}
	left, err := privilege.Keep(neededCapabilities(conf))
	if err != nil {
		d.Close()
		return nil, err
	}
	log.Info("running with least privilege", "event", "privileges_dropped", "user", user.Name, "uid", user.UID, "capabilities", left.String())
	if user.UID == 0 {
		warnRoot(conf.User, log)
	}
	warnUnreadable(path, user, log)
	warnExposed(path, log)
	return d, nil
}

// neededCapabilities returns the capabilities that the daemon needs while it runs. CAP_NET_RAW
// suffices if it changes nothing in the host's network: no firewall rule, no address, and no
// neighbor entry for local programs.
func neededCapabilities(conf *config.Config) privilege.Set {
	if conf.Claim.Guard == config.GuardOff && conf.Claim.Mode != config.ModeBind && !conf.Wake.Local {
		return privilege.Watching
	}
	return privilege.Working
}

// warnRoot logs that the daemon runs as root, and why.
func warnRoot(configured string, log *slog.Logger) {
	reason, try := "user is "+configured, "leave user empty"
	if configured == "" {
		reason, try = "root cannot switch to another user here", "start it as another user with CAP_NET_RAW and CAP_NET_ADMIN"
	}
	log.Warn("running as root: without capabilities the daemon can still change root's files", "event", "runs_as_root", "reason", reason, "try", try)
}

// warnUnreadable logs that the daemon's user cannot read the configuration file. Without it
// the first reload, perhaps months later, would reveal that.
func warnUnreadable(path string, user privilege.User, log *slog.Logger) {
	f, err := os.Open(path)
	if err == nil {
		err = f.Close()
	}
	if errors.Is(err, fs.ErrPermission) {
		log.Warn("SIGHUP cannot reload the configuration: the daemon's user may not read its file", "event", "reload_impossible",
			"file", path, "user", user.Name, "try", fmt.Sprintf("chgrp %d %[2]s; chmod 640 %[2]s", user.GID, shell.Quote(path)))
	}
}

// groupWrite is the permission bit of a file's group to write.
const groupWrite = 0o020

// warnExposed logs that a group can write to the configuration file and so make the daemon
// run a program. A world-writable file is not loaded at all.
func warnExposed(path string, log *slog.Logger) {
	if info, err := os.Stat(path); err == nil && info.Mode()&groupWrite != 0 {
		log.Warn("configuration file is group-writable: its group can make nightporter run programs (wake_command)", "event", "configuration_exposed",
			"file", path, "try", "chmod g-w "+shell.Quote(path))
	}
}

// reload applies a new configuration. An invalid one changes nothing.
func reload(ctx context.Context, d *daemon.Daemon, load func() (*config.Config, error), log *slog.Logger) {
	if err := d.Reload(ctx, load); err != nil {
		log.Error("configuration not reloaded, keeping the old one", "event", "reload_failed", "err", err)
	}
}

// lowerGCPercent trades processor time for memory: most resident memory is garbage of the
// last scrape. The environment variable GOGC overrides it.
func lowerGCPercent() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(25)
	}
}
