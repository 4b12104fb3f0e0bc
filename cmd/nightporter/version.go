package main

import (
	"cmp"
	"fmt"

	"github.com/prometheus/common/version"
	"github.com/spf13/cobra"
)

// versionText says in one line what this program is.
func versionText() string {
	return fmt.Sprintf("nightporter %s (revision %s, %s, %s/%s)", cmp.Or(version.Version, "unknown"),
		cmp.Or(version.GetRevision(), "unknown"), version.GoVersion, version.GoOS, version.GoArch)
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		GroupID: groupMore,
		Short:   "Print the version",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), versionText())
			return err
		},
	}
}
