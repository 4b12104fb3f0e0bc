package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

const whyHelp = `Explain why a machine is asleep or awake: its state and since when, which client woke it
last and for which service, what would wake it now, which packets were ignored lately with
the setting that would change that, and what keeps it awake as far as the porter knows.

Exit code 0 means that the porter answered.`

const whyExample = `  nightporter why tower
  nightporter why tower --from raspberrypi --json | jq '.lines[] | select(.topic == "ignored")'`

// whyFlags are the flags of the why command.
type whyFlags struct {
	clientFlags
	json bool
}

// newWhyCommand returns the command "why".
func newWhyCommand() *cobra.Command {
	var f whyFlags
	cmd := &cobra.Command{
		Use:               "why NAME",
		Short:             "Explain why a machine is asleep or awake",
		Long:              whyHelp,
		Example:           whyExample,
		Args:              oneName,
		ValidArgsFunction: f.completeName,
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	f.addTo(cmd.Flags())
	cmd.Flags().BoolVar(&f.json, "json", false, "print one JSON object")
	return cmd
}

func (f *whyFlags) run(cmd *cobra.Command, name string) error {
	client, err := f.client()
	if err != nil {
		return err
	}
	defer client.Close()
	why, err := client.Why(cmd.Context(), name)
	if err != nil {
		return explainUnknown(cmd.Context(), client, name, err)
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), why)
	}
	table := newTable(cmd.OutOrStdout())
	topic := ""
	for _, l := range why.Lines {
		shown := printable(l.Topic)
		if shown == topic {
			shown = "" // a topic is printed once
		}
		topic = printable(l.Topic)
		fmt.Fprintf(table, "%s\t%s\n", shown, printable(l.Text))
		if l.Hint != "" {
			fmt.Fprintf(table, "\t  -> %s\n", printable(l.Hint))
		}
	}
	return table.Flush()
}
