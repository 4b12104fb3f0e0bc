package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"

	"nightporter/internal/web"
)

// tokenVariable is that of the key http.token.
const tokenVariable = "NIGHTPORTER_HTTP__TOKEN"

// tokenHelp is what the commands say that need the token.
const tokenHelp = `If the porter asks for a token (http.token), it comes from --token-file or from the
environment variable ` + tokenVariable + `.`

// changer is what the commands have in common that have a porter change something.
type changer struct {
	asker
	tokenFile string
	json      bool
}

func (c *changer) addTo(fs *pflag.FlagSet) {
	c.asker.addTo(fs)
	fs.StringVar(&c.tokenFile, "token-file", "", "the `FILE` that holds the porter's http.token")
}

// addJSONTo adds the flag --json.
func (c *changer) addJSONTo(fs *pflag.FlagSet) {
	fs.BoolVar(&c.json, "json", false, "print one JSON object")
}

// answer prints what was done: v for programs, a sentence for people.
func (c *changer) answer(w io.Writer, v any, format string, args ...any) error {
	if c.json {
		return printJSON(w, v)
	}
	_, err := fmt.Fprintf(w, format+"\n", args...)
	return err
}

// client returns a client that shows the token, for the caller to close.
func (c *changer) client() (*web.Client, error) {
	client, err := c.asker.client()
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

// needsToken says where the token comes from, if err means that there was none, or
// another one.
func needsToken(err error) error {
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
	return fmt.Errorf("%s was not %s: %w", printable(name), done, needsToken(err))
}
