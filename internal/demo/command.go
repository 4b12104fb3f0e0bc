package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/pflag"

	"nightporter/internal/lab"
	"nightporter/internal/terminal"
)

const usage = `Usage:
  nightporter-demo [--keep] [--nightporter PATH]

Build a LAN out of network namespaces, run nightporter in it, put a machine to
sleep and connect to it. No packet leaves this host, and nothing is left on it.
Without root the LAN is in a user namespace, if the kernel allows that.

With --keep the LAN keeps running: four machines sleep, and one of them cannot be woken.
The demo prints the address of the status page, commands to try, and for each machine an
address on this host at which a connection counts as one from a client of that LAN.

Exit code 0 means that the client was served, 1 that it was not, 2 that the command line
is wrong, 130 that the demo was interrupted before its end.

Flags:
`

// The exit codes beside 0 and 1.
const (
	wrongUsage  = 2
	interrupted = 130 // 128 + SIGINT, as shells report it
)

// Main runs the command line args of nightporter-demo and returns its exit code.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o := Options{Out: stdout, Color: terminal.Color(stdout)}
	flags := pflag.NewFlagSet("nightporter-demo", pflag.ContinueOnError)
	flags.SetOutput(stdout)
	flags.Usage = func() { fmt.Fprint(stdout, usage, flags.FlagUsages()) }
	flags.BoolVar(&o.Keep, "keep", false, "keep the LAN running until Ctrl-C, with more machines, and print what to look at and to try")
	flags.StringVar(&o.Exe, "nightporter", "", "the `PATH` of the daemon (default: nightporter beside this program)")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return 0
	case err == nil && flags.NArg() > 0:
		err = fmt.Errorf("found %q, expected no argument", flags.Arg(0))
	}
	if err != nil {
		fmt.Fprintln(stderr, "nightporter-demo:", err)
		return wrongUsage
	}
	code, err := run(ctx, o)
	switch {
	case err == nil:
		return code
	case ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))):
		return interrupted
	}
	fmt.Fprintln(stderr, "nightporter-demo:", err)
	return 1
}

// run runs the demo where network namespaces can be made: in this process, or in a copy
// of it in a user namespace, whose exit code it returns.
func run(ctx context.Context, o Options) (code int, err error) {
	if o.Exe, err = findDaemon(o.Exe); err != nil {
		return 1, err
	}
	code, elsewhere, err := lab.EnterUserNamespace()
	if elsewhere {
		return code, nil
	}
	if err == nil {
		err = lab.Available()
	}
	if err != nil {
		return 1, fmt.Errorf("the demo needs network namespaces: %w", err)
	}
	// A write to a closed pipe, such as one to head, must not end the demo before it has
	// removed its namespaces.
	signal.Ignore(syscall.SIGPIPE)
	return 0, Run(ctx, o)
}

// findDaemon returns the absolute path of the daemon's executable. An empty path stands
// for the file nightporter in the folder of this program.
func findDaemon(path string) (string, error) {
	if path == "" {
		self, err := os.Executable()
		if err != nil {
			return "", err
		}
		path = filepath.Join(filepath.Dir(self), "nightporter")
	}
	path, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		return "", fmt.Errorf("the demo runs nightporter: %w: run `make build`, or give its path with --nightporter", err)
	}
	return path, nil
}
