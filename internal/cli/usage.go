package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nightporter/internal/config"
)

// The exit codes beside 0 and 1.
const (
	wrongUsage  = 2
	interrupted = 130 // 128 + SIGINT, as shells report it
)

// exitCode is an error that has been reported to the user already.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// usageError is a mistake in the command line.
type usageError struct{ text string }

// Error returns one line.
func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// wasInterrupted reports whether a command failed because a signal ended ctx.
func wasInterrupted(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx)))
}

// flagError words an error of the flag parser like the other errors.
func flagError(cmd *cobra.Command, err error) error {
	var missing *pflag.NotExistError
	var empty *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &missing):
		return unknownFlag(cmd, missing)
	case errors.As(err, &empty):
		return usagef("--%s: found nothing, expected %s", empty.GetFlag().Name, expectedOf(empty.GetFlag()))
	case errors.As(err, &invalid):
		return usagef("--%s: found %q, expected %s", invalid.GetFlag().Name, invalid.GetValue(), expectedOf(invalid.GetFlag()))
	}
	return usagef("%v", err)
}

func unknownFlag(cmd *cobra.Command, missing *pflag.NotExistError) error {
	name := missing.GetSpecifiedName()
	if missing.GetSpecifiedShortnames() != "" {
		return usagef("unknown flag -%s: `%s --help` lists the flags", name, cmd.CommandPath())
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	if meant := config.Suggest(name, known); meant != "" {
		return usagef("unknown flag --%s: did you mean --%s?", name, meant)
	}
	return usagef("unknown flag --%s: `%s --help` lists the flags", name, cmd.CommandPath())
}

// expectedOf describes the value of a flag.
func expectedOf(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "duration":
		return "a time with its unit, such as 10s or 2m"
	case "int":
		return "a whole number"
	case "float64":
		return "a number"
	case "bool":
		return "true or false"
	}
	placeholder, _ := pflag.UnquoteUsage(f)
	return "its " + placeholder
}

// noArgs is cobra.NoArgs with an error like the others.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("found %q, expected no argument", args[0])
	}
	return nil
}

// oneName is cobra.ExactArgs(1) with an error that says what is expected.
func oneName(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usagef("found %d names, expected one", len(args))
	}
	return nil
}

// oneNameAtMost is cobra.MaximumNArgs(1) with an error that says what is expected.
func oneNameAtMost(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usagef("found %d names, expected one or none", len(args))
	}
	return nil
}

// onlyOne refuses flags that exclude one another.
func onlyOne(cmd *cobra.Command, names ...string) error {
	var given []string
	for _, name := range names {
		if cmd.Flags().Changed(name) {
			given = append(given, "--"+name)
		}
	}
	if len(given) > 1 {
		return usagef("%s: give one of them", strings.Join(given, " and "))
	}
	return nil
}
