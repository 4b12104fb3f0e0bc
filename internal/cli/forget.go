package cli

import (
	"github.com/spf13/cobra"
)

const forgetHelp = `Make a porter forget one of its machines: the porter releases its addresses, and another
network card can take its name. The machine is known again when it registers again. A
machine of the configuration stays known as the configuration describes it.

` + tokenHelp + `

Exit code 0 means that the machine is forgotten.`

// forgetFlags are the flags of the forget command.
type forgetFlags struct{ changeFlags }

// forgottenJSON is the output of --json: the API answers without a body.
type forgottenJSON struct {
	Name      string `json:"name"`
	Forgotten bool   `json:"forgotten"`
}

// newForgetCommand returns the command "forget".
func newForgetCommand() *cobra.Command {
	var f forgetFlags
	cmd := &cobra.Command{
		Use:               "forget NAME",
		Short:             "Forget a machine",
		Long:              forgetHelp,
		Example:           "  nightporter forget tower --from raspberrypi",
		Args:              oneName,
		ValidArgsFunction: f.completeName,
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	f.addTo(cmd.Flags())
	f.addJSONTo(cmd.Flags())
	return cmd
}

func (f *forgetFlags) run(cmd *cobra.Command, name string) error {
	client, err := f.client()
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Forget(cmd.Context(), name); err != nil {
		return unchanged(name, "forgotten", explainUnknown(cmd.Context(), client, name, err))
	}
	return f.answer(cmd.OutOrStdout(), forgottenJSON{Name: name, Forgotten: true}, "%s is forgotten", printable(name))
}
