package cli

import (
	"cmp"
	"context"
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

// clientFlags is what the commands have in common that ask a running porter.
type clientFlags struct{ from string }

func (a *clientFlags) addTo(fs *pflag.FlagSet) {
	fs.StringVar(&a.from, "from", "", "the porter's `URL` or HOST[:PORT] (default: "+fromVariable+" in the environment, or "+defaultFrom+")")
}

// client returns a client of the porter, for the caller to close.
func (a *clientFlags) client() (*web.Client, error) {
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
func (a *clientFlags) completeName(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
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
func (a *clientFlags) completeFlag(cmd *cobra.Command, flag string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, // an error would mean that there is no such flag
		func(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return a.completeName(cmd, nil, begun)
		})
}

// explainUnknown says which names there are, if err means that there is not this one.
func explainUnknown(ctx context.Context, client *web.Client, name string, err error) error {
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

// tokenVariable is that of the key http.token.
const tokenVariable = "NIGHTPORTER_HTTP__TOKEN"

// tokenHelp is what the commands say that need the token.
const tokenHelp = `If the porter requires a token (http.token), it comes from --token-file or from the
environment variable ` + tokenVariable + `.`

// changeFlags is what the commands have in common that have a porter change something.
type changeFlags struct {
	clientFlags
	tokenFile string
	json      bool
}

func (c *changeFlags) addTo(fs *pflag.FlagSet) {
	c.clientFlags.addTo(fs)
	fs.StringVar(&c.tokenFile, "token-file", "", "the `FILE` that holds the porter's http.token")
}

// addJSONTo adds the flag --json.
func (c *changeFlags) addJSONTo(fs *pflag.FlagSet) {
	fs.BoolVar(&c.json, "json", false, "print one JSON object")
}

// answer prints what was done: v for programs, a sentence for people.
func (c *changeFlags) answer(w io.Writer, v any, format string, args ...any) error {
	if c.json {
		return printJSON(w, v)
	}
	_, err := fmt.Fprintf(w, format+"\n", args...)
	return err
}

// client returns a client that shows the token, for the caller to close.
func (c *changeFlags) client() (*web.Client, error) {
	client, err := c.clientFlags.client()
	if err != nil {
		return nil, err
	}
	token := os.Getenv(tokenVariable)
	if c.tokenFile != "" {
		if token, err = tokenFromFile(c.tokenFile); err != nil {
			client.Close()
			return nil, err
		}
	}
	client.SetToken(token)
	return client, nil
}

// explainToken says where the token comes from, if err means that there was none, or
// another one.
func explainToken(err error) error {
	switch {
	case errors.Is(err, web.ErrWrongToken):
		return fmt.Errorf("the token is not this porter's http.token: --token-file FILE, or %s", tokenVariable)
	case errors.Is(err, web.ErrToken):
		return fmt.Errorf("this porter asks for a token: --token-file FILE, or %s", tokenVariable)
	}
	return err
}

// unchanged says that a machine is not as it was asked for, and why.
func unchanged(name, done string, err error) error {
	if refused, ok := errors.AsType[*web.Refused](err); ok {
		err = errors.New(printable(refused.Reason))
	} else if !errors.Is(err, web.ErrToken) {
		return err
	}
	return fmt.Errorf("%s was not %s: %w", printable(name), done, explainToken(err))
}
