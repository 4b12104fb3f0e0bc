package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/prometheus/common/version"
	"github.com/spf13/cobra"

	"nightporter/internal/notify"
)

func newCheckCommand() *cobra.Command {
	var path string
	var send bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration and print what is in effect",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SilenceUsage = true
			conf, err := load(cmd, path)
			if err != nil {
				// One error a line, each with its key: fit for a person and a script.
				fmt.Fprintln(cmd.ErrOrStderr(), err)
				return exitCode(1)
			}
			out, err := conf.YAML()
			if err != nil {
				return err
			}
			if _, err = cmd.OutOrStdout().Write(out); err != nil || !send {
				return err
			}
			return sendTest(cmd, conf.Notify.URLs)
		},
	}
	cmd.Flags().BoolVar(&send, "notify", false, "also send a message to each of notify.urls")
	addConfigFlags(cmd, &path)
	return cmd
}

// sendTest sends a message to each target, and says where it did not get through.
func sendTest(cmd *cobra.Command, targets []notify.Target) error {
	if len(targets) == 0 {
		return errors.New("notify.urls: found an empty list: expected somebody to send a message to")
	}
	host, err := os.Hostname()
	if err != nil {
		host = "this host"
	}
	failed := false
	for i, err := range notify.Try(cmd.Context(), targets, notify.Message{
		Title: "nightporter: a test", Text: "This is where nightporter on " + host + " tells what needs you.",
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

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), version.Print("nightporter"))
			return err
		},
	}
}
