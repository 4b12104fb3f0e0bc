package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nightporter/internal/config"
	"nightporter/internal/notify"
)

func addConfigFlags(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "config", config.DefaultPath, "the configuration `FILE`")
	config.AddFlags(cmd.Flags())
	cmd.SetUsageFunc(configUsage)
}

// helpWidth is the width in columns of the help of the flags.
const helpWidth = 120

// configUsage prints the flags of a command in two lists: its own, and the keys of the
// configuration.
func configUsage(cmd *cobra.Command) error {
	isKey := configKeys()
	own, keys := new(pflag.FlagSet), new(pflag.FlagSet)
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if isKey[f.Name] {
			keys.AddFlag(f)
		} else {
			own.AddFlag(f)
		}
	})
	_, err := fmt.Fprintf(cmd.OutOrStderr(), "Usage:\n  %s\n\nExamples:\n%s\n\nFlags:\n%s\nFlags for the keys of the configuration:\n%s",
		cmd.UseLine(), cmd.Example, own.FlagUsagesWrapped(helpWidth), keys.FlagUsagesWrapped(helpWidth))
	return err
}

// configKeys are the paths of all keys of the configuration.
func configKeys() map[string]bool {
	isKey := make(map[string]bool)
	for _, k := range config.Keys() {
		isKey[k.Path] = true
	}
	return isKey
}

// load reads the configuration from its file, the environment and the command line.
func load(cmd *cobra.Command, path string) (*config.Config, error) {
	return config.Load(path, cmd.Flags().Changed("config"), environ(), cmd.Flags(), config.ReadURLs(notify.ReadURL))
}

// environ returns the environment of this process without variables that are no keys.
func environ() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, fromVariable+"=") })
}
