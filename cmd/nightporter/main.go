// Command nightporter keeps sleeping machines reachable: it answers for their
// addresses, and wakes them when somebody knocks.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// exitCode is an error that has been told to the user already.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintln(stderr, "nightporter:", err)
	return 1
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "nightporter",
		Short:         "Keep sleeping machines reachable, and wake them when somebody knocks",
		SilenceErrors: true,
	}
	root.AddCommand(
		newServeCommand(),
		newCheckCommand(),
		newRegisterCommand(),
		newStatusCommand(),
		newWhyCommand(),
		newWakeCommand(),
		newTestCommand(),
		newPauseCommand(),
		newResumeCommand(),
		newEventsCommand(),
		newDemoCommand(),
		newVersionCommand(),
	)
	return root
}
