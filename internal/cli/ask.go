package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nightporter/internal/machine"
	"nightporter/internal/web"
)

// completionTimeout bounds how long the shell waits for a completion.
const completionTimeout = 2 * time.Second

const (
	// fromVariable stands in for --from. It is not a key of the configuration.
	fromVariable = "NIGHTPORTER_FROM"
	defaultFrom  = "http://localhost:" + web.DefaultPort
)

// asker is what the commands have in common that ask a running porter.
type asker struct{ from string }

func (a *asker) addTo(fs *pflag.FlagSet) {
	fs.StringVar(&a.from, "from", "", "the porter's `URL` or HOST[:PORT] (default: "+fromVariable+" in the environment, or "+defaultFrom+")")
}

// client returns a client of the porter, for the caller to close.
func (a *asker) client() (*web.Client, error) {
	from, origin := a.from, "--from"
	if from == "" {
		from, origin = os.Getenv(fromVariable), fromVariable
	}
	c, err := web.NewClient(cmp.Or(from, defaultFrom))
	if err != nil {
		return nil, usagef("%s: %v", origin, err)
	}
	return c, nil
}

// nextStep says what to try where no porter answers.
func nextStep(away *web.Unreachable) string {
	switch {
	case away.NoAddress():
		return "is the name right? An IP address does as well, such as --from 192.168.1.2"
	case away.ForRegistrations():
		return "that is the port at which machines register: the page and the commands have another, " + web.DefaultPort + " if --from names none"
	case away.Local():
		return "is it running (systemctl status nightporter)? For a porter on another host: --from HOST, or " + fromVariable
	}
	return "is it running there, and its port open in the firewall?"
}

// completeName completes the first argument with the names that the porter knows.
func (a *asker) completeName(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	client, err := a.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	all, err := client.Machines(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []cobra.Completion
	for _, m := range all {
		// A name that a terminal cannot show cannot be typed either.
		if strings.HasPrefix(m.Name, begun) && printable(m.Name) == m.Name {
			names = append(names, cobra.CompletionWithDesc(m.Name, m.State.String()))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeFlag is completeName for the value of a flag.
func (a *asker) completeFlag(cmd *cobra.Command, flag string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, // an error would mean that there is no such flag
		func(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return a.completeName(cmd, nil, begun)
		})
}

// explain says which names there are, if err means that there is not this one.
func explain(ctx context.Context, client *web.Client, name string, err error) error {
	if !errors.Is(err, machine.ErrUnknown) {
		return err
	}
	all, listErr := client.Machines(ctx)
	switch {
	case listErr != nil:
		return err
	case len(all) == 0:
		return fmt.Errorf("no machine is named %q: the porter knows none so far", name)
	}
	names := make([]string, len(all))
	for i, m := range all {
		names[i] = printable(m.Name)
	}
	return fmt.Errorf("no machine is named %q; there are: %s", name, strings.Join(names, ", "))
}

// tokenFromFile returns the token that a file holds, without the newline after it.
func tokenFromFile(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// printJSON prints v for programs.
func printJSON(w io.Writer, v any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(v)
}
