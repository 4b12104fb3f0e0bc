package cli

import (
	"cmp"
	"fmt"

	"github.com/prometheus/common/version"
	"github.com/spf13/cobra"
)

// versionText is one line with the version, the revision, Go and the platform.
func versionText() string {
	return fmt.Sprintf("nightporter %s (revision %s, %s, %s/%s)", cmp.Or(version.Version, "unknown"),
		cmp.Or(version.GetRevision(), "unknown"), version.GoVersion, version.GoOS, version.GoArch)
}

// versionJSON is the output of --json.
type versionJSON struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

func newVersionCommand() *cobra.Command {
	var inJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		GroupID: groupMore,
		Short:   "Print the version",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if inJSON {
				return printJSON(cmd.OutOrStdout(), versionJSON{version.Version, version.GetRevision(), version.GoVersion, version.GoOS, version.GoArch})
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), versionText())
			return err
		},
	}
	cmd.Flags().BoolVar(&inJSON, "json", false, "print one JSON object")
	return cmd
}
