// Package cli implements the commands of nightporter: it parses flags, runs the packages
// that a command needs, and returns an exit code.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"nightporter/internal/web"

	"github.com/spf13/cobra"
)

// Run executes one command line and returns its exit code.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := NewRootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	refuseUnknownShells(root)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	return fail(ctx, cmd, args, err, stderr)
}

// The groups of commands in the help. A command without a group is in groupAsk.
const (
	groupPorter  = "porter"
	groupAsk     = "ask"
	groupMachine = "machine"
	groupMore    = "more"
)

const rootHelp = `Keep sleeping machines reachable: nightporter answers for their addresses, and
wakes them by Wake-on-LAN when a client connects.`

const rootExample = `  nightporter check --host             before the first start: check this host
  nightporter serve                    run the porter
  nightporter status --from raspberrypi
  nightporter wake nas --wait 2m`

// NewRootCommand returns the root command with all subcommands.
func NewRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "nightporter",
		Short:         "Keep sleeping machines reachable, and wake them when a client connects",
		Long:          rootHelp,
		Example:       rootExample,
		Version:       versionText(),
		SilenceErrors: true,
		SilenceUsage:  true,

		SuggestionsMinimumDistance: 2,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(flagError)
	root.AddGroup(
		&cobra.Group{ID: groupPorter, Title: "The porter:"},
		&cobra.Group{ID: groupAsk, Title: "Use a running porter:"},
		&cobra.Group{ID: groupMachine, Title: "On a machine that sleeps:"},
		&cobra.Group{ID: groupMore, Title: "More:"},
	)
	root.SetHelpCommandGroupID(groupMore)
	root.SetCompletionCommandGroupID(groupMore)
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
		newForgetCommand(),
		newEventsCommand(),
		newManCommand(),
		newVersionCommand(),
	)
	for _, cmd := range root.Commands() {
		if cmd.GroupID == "" {
			cmd.GroupID = groupAsk
		}
	}
	refuseUnknownTopics(root)
	return root
}

// refuseUnknownTopics makes an unknown command an error of help too. Cobra would print the
// help of the root command and exit with 0.
func refuseUnknownTopics(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "help" {
			cmd.Args = func(_ *cobra.Command, args []string) error {
				if _, _, err := root.Find(args); err != nil {
					return usagef("%s", unknownCommand(root, args))
				}
				return nil
			}
		}
	}
}

// refuseUnknownShells makes an unknown shell an error of completion. Cobra would print the
// help and exit with 0. The scripts are written to the output that root has at this call.
func refuseUnknownShells(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.Args = func(cmd *cobra.Command, args []string) error {
				if len(args) == 0 {
					return nil
				}
				var shells []string
				for _, sub := range cmd.Commands() {
					shells = append(shells, sub.Name())
				}
				return usagef("found %q, expected a shell: %s", args[0], strings.Join(shells, ", "))
			}
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
}

// fail prints one line that says why a command failed, and returns the exit code.
func fail(ctx context.Context, cmd *cobra.Command, args []string, err error, stderr io.Writer) int {
	var code exitCode
	var usage *usageError
	var away *web.Unreachable
	var refused *web.Refused
	switch {
	case errors.As(err, &code):
		return int(code)
	case wasInterrupted(ctx, err):
		return interrupted
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "%s: %s\n", cmd.CommandPath(), usage)
		return wrongUsage
	case !cmd.HasParent(): // cobra found no such command
		fmt.Fprintf(stderr, "nightporter: %s\n", unknownCommand(cmd, args))
		return wrongUsage
	case errors.As(err, &away):
		fmt.Fprintf(stderr, "nightporter: %s: %s\n", away, nextStep(away))
		return 1
	case errors.As(err, &refused):
		fmt.Fprintln(stderr, "nightporter:", printable(err.Error()))
		return 1
	}
	fmt.Fprintln(stderr, "nightporter:", err)
	return 1
}

// unknownCommand suggests commands with a similar name.
func unknownCommand(root *cobra.Command, args []string) string {
	name := ""
	for _, a := range args {
		if !strings.HasPrefix(a, "-") {
			name = a
			break
		}
	}
	const list = "`nightporter --help` lists the commands"
	if similar := root.SuggestionsFor(name); len(similar) > 0 {
		return fmt.Sprintf("unknown command %q: did you mean %s? %s", name, strings.Join(similar, " or "), list)
	}
	return fmt.Sprintf("unknown command %q: %s", name, list)
}
