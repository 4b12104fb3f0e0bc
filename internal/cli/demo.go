package cli

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"nightporter/internal/demo"
	"nightporter/internal/lab"
)

func newDemoCommand() *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use:     "demo",
		GroupID: groupMore,
		Short:   "Build a LAN with a sleeping machine on this host, and wake it",
		Example: "  nightporter demo --keep",
		Long: `Build a LAN out of network namespaces, run nightporter in it, put a machine to
sleep and connect to it. Nothing leaves this host, and nothing stays behind.
Without root it uses a user namespace, where the kernel allows that.

With --keep it goes on running: four machines sleep, one of them cannot be woken. It
prints the address of the status page, commands to try, and for each machine an address
on this host where a connection is one from a client of that LAN.

Exit code 0 means that the client was served.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			code, elsewhere, err := lab.EnterUserNamespace()
			if elsewhere {
				if code != 0 {
					return exitCode(code)
				}
				return nil
			}
			if err == nil {
				err = lab.Available()
			}
			if err != nil {
				return fmt.Errorf("the demo needs network namespaces: %w", err)
			}
			// A reader that goes away, such as head, must not keep it from
			// cleaning up.
			signal.Ignore(syscall.SIGPIPE)
			exe, err := os.Executable()
			if err != nil {
				return err
			}
			return demo.Run(cmd.Context(), demo.Options{Exe: exe, Out: cmd.OutOrStdout(), Color: onTerminal(cmd), Keep: keep})
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "leave it running until Ctrl-C, with more machines, and print what to look at and to try")
	return cmd
}
