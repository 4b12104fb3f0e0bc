package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"nightporter/internal/registration"
)

// registeredJSON is the output of --json.
type registeredJSON struct {
	Porter       string            `json:"porter"`
	Check        bool              `json:"check"` // with --check nothing was registered
	Accepted     bool              `json:"accepted"`
	Answer       string            `json:"answer"` // the porter's text
	Registration registration.Wire `json:"registration"`
}

// send registers, or with --check asks whether the porter would accept it, and prints the
// answer.
func (f *registerFlags) send(ctx context.Context, cmd *cobra.Command, addr string, w registration.Wire) error {
	if f.check && !f.json {
		if err := printJSON(cmd.OutOrStdout(), withoutSecrets(w)); err != nil {
			return err
		}
	}
	answer, err := f.exchange(ctx, addr, w)
	if f.json {
		return f.printAnswer(cmd.OutOrStdout(), registeredJSON{addr, f.check, err == nil, answer, withoutSecrets(w)}, err)
	}
	switch {
	case err != nil:
		return err
	case f.check:
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", addr, answer)
	default:
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "registered %s with %s\n", strings.TrimSpace(w.Name+" "+w.MAC), addr)
	}
	return err
}

// exchange returns the porter's answer to a registration.
func (f *registerFlags) exchange(ctx context.Context, addr string, w registration.Wire) (answer string, err error) {
	what := "register with"
	if f.check {
		what = "ask"
		answer, err = registration.Try(ctx, addr, w)
	} else {
		answer, err = "OK.", registration.SendRetry(ctx, addr, w, f.retries)
	}
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", what, addr, explainUnreachable(addr, err))
	}
	return answer, nil
}

// printAnswer prints the porter's answer, also if it refuses. Without an answer it returns
// err.
func (f *registerFlags) printAnswer(w io.Writer, told registeredJSON, err error) error {
	refused, isRefused := errors.AsType[*registration.Rejection](err)
	switch {
	case isRefused:
		told.Answer = refused.Answer
	case err != nil:
		return err
	}
	if err := printJSON(w, told); err != nil {
		return err
	}
	if isRefused {
		return exitCode(1)
	}
	return nil
}

// withoutSecrets returns a copy in which secrets are masked.
func withoutSecrets(w registration.Wire) registration.Wire {
	const hidden = "********"
	if w.Token != "" {
		w.Token = hidden
	}
	if w.Password != "" {
		w.Password = hidden
	}
	return w
}

// fieldError turns an error about a field of the registration into one about the flag or
// the line of the file that gave the field.
func (f *registerFlags) fieldError(err error) error {
	path, text, found := strings.Cut(err.Error(), ": ")
	if !found {
		return err
	}
	key := path
	if i := strings.IndexAny(path, "[."); i >= 0 {
		key = path[:i]
	}
	if key == "monitor" && len(f.monitor) == 0 {
		key = "port"
	}
	return f.settingError(key, text)
}

// settingError is an error about a setting, with its flag or its line of the file.
func (f *registerFlags) settingError(key, text string) error {
	for _, s := range f.settings {
		if s.key == key {
			return fmt.Errorf("%s: line %d: %s: %s", f.config, s.line, key, text)
		}
	}
	return usagef("--%s: %s", confSetting{key: key}.flag(), text)
}

// warnNoPorts prints the addresses at which no connection wakes the machine.
func warnNoPorts(to io.Writer, w registration.Wire) {
	for _, a := range w.Monitor {
		if len(a.Port) == 0 {
			fmt.Fprintf(to, "%s has no ports: it is claimed while the machine sleeps, but nothing there wakes it\n", a.IP)
		}
	}
}
