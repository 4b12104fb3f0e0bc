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
	// fromVariable is the environment variable for --from. It is not a key of the
	// configuration.
	fromVariable = "NIGHTPORTER_FROM"
	defaultFrom  = "http://localhost:" + web.DefaultPort
)

// clientFlags are the flags of the commands that use the API of a running porter.
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

// nextStep says what to try if no porter answers.
func nextStep(away *web.Unreachable) string {
	switch {
	case away.NoAddress():
		return "is the name right? An IP address also works, such as --from 192.168.1.2"
	case away.ForRegistrations():
		return "that is the registration port: the page and the commands use another, " + web.DefaultPort + " by default"
	case away.Local():
		return "is it running (systemctl status nightporter)? For a porter on another host: --from HOST, or " + fromVariable
	}
	return "is it running there, and its port open in the firewall?"
}

// completeName completes the first argument with the names of the porter's machines.
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
		// A name that is not printable cannot be typed.
		if strings.HasPrefix(m.Name, begun) && printable(m.Name) == m.Name {
			names = append(names, cobra.CompletionWithDesc(m.Name, m.State.String()))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeFlag is completeName for the value of a flag.
func (a *clientFlags) completeFlag(cmd *cobra.Command, flag string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, // the only error is an unknown flag
		func(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return a.completeName(cmd, nil, begun)
		})
}

// explainUnknown lists the names of the machines if err is machine.ErrUnknown.
func explainUnknown(ctx context.Context, client *web.Client, name string, err error) error {
	if !errors.Is(err, machine.ErrUnknown) {
		return err
	}
	all, listErr := client.Machines(ctx)
	switch {
	case listErr != nil:
		return err
	case len(all) == 0:
		return fmt.Errorf("no machine is named %q: the porter knows no machine yet", name)
	}
	names := make([]string, len(all))
	for i, m := range all {
		names[i] = printable(m.Name)
	}
	return fmt.Errorf("no machine is named %q; there are: %s", name, strings.Join(names, ", "))
}

// tokenFromFile returns the content of a file without surrounding white space.
func tokenFromFile(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// tokenVariable is the environment variable of the key http.token.
const tokenVariable = "NIGHTPORTER_HTTP__TOKEN"

// tokenHelp is part of the help of each command that sends the token.
const tokenHelp = `If the porter requires a token (http.token), give it by --token-file or by the
environment variable ` + tokenVariable + `.`

// changeFlags are the flags of the commands that change something at a porter.
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

// answer prints the result: v as JSON with --json, otherwise a sentence.
func (c *changeFlags) answer(w io.Writer, v any, format string, args ...any) error {
	if c.json {
		return printJSON(w, v)
	}
	_, err := fmt.Fprintf(w, format+"\n", args...)
	return err
}

// client returns a client that sends the token, for the caller to close.
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

// explainToken says how to give the token if err means that it is missing or wrong.
func explainToken(err error) error {
	switch {
	case errors.Is(err, web.ErrWrongToken):
		return fmt.Errorf("the token is not this porter's http.token: give --token-file FILE, or set %s", tokenVariable)
	case errors.Is(err, web.ErrToken):
		return fmt.Errorf("this porter requires a token: give --token-file FILE, or set %s", tokenVariable)
	}
	return err
}

// unchanged says that a machine was not changed as requested, and why.
func unchanged(name, done string, err error) error {
	if refused, ok := errors.AsType[*web.Refused](err); ok {
		err = errors.New(printable(refused.Reason))
	} else if !errors.Is(err, web.ErrToken) {
		return err
	}
	return fmt.Errorf("%s was not %s: %w", printable(name), done, explainToken(err))
}
