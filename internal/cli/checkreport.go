package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"nightporter/internal/config"
)

// checkJSON is what check --json prints.
type checkJSON struct {
	OK       bool          `json:"ok"`
	File     string        `json:"file"` // empty: none was there
	Errors   []string      `json:"errors"`
	Machines int           `json:"machines"`
	Changed  []changedKey  `json:"changed"`
	Host     []findingJSON `json:"host,omitempty"`
}

// changedKey is a key that differs from its default.
type changedKey struct {
	Key    string `json:"key"`
	Origin string `json:"origin"`
}

// findingJSON is a finding. Its text says what is wrong, if something is.
type findingJSON struct {
	What string `json:"what"`
	OK   bool   `json:"ok"`
	Text string `json:"text"`
}

// tellErrors prints one error a line, each with its key: fit for a user and a script.
func (f *checkFlags) tellErrors(cmd *cobra.Command, err error) error {
	if !f.json {
		fmt.Fprintln(cmd.ErrOrStderr(), err)
		return exitCode(1)
	}
	if err := printJSON(cmd.OutOrStdout(), checkJSON{Errors: strings.Split(err.Error(), "\n"), Changed: []changedKey{}}); err != nil {
		return err
	}
	return exitCode(1)
}

// foundJSON describes a configuration that is right.
func (f *checkFlags) foundJSON(conf *config.Config, origins *config.Origins) checkJSON {
	found := checkJSON{OK: true, File: origins.File, Errors: []string{}, Machines: len(conf.Machines), Changed: []changedKey{}}
	for _, path := range config.Changed(config.Default(), conf) {
		found.Changed = append(found.Changed, changedKey{path, origins.Of(path)})
	}
	return found
}

// tellHost prints what was found at this host, and last whether all is well.
func (f *checkFlags) tellHost(cmd *cobra.Command, all []finding) error {
	var rows [][]string
	wrong := 0
	for _, found := range all {
		row, inJSON := []string{"ok", found.what, found.text}, findingJSON{found.what, true, found.text}
		if found.err != nil {
			row, inJSON = []string{"WRONG", found.what, found.err.Error()}, findingJSON{found.what, false, found.err.Error()}
			f.found.Errors = append(f.found.Errors, found.what+": "+found.err.Error())
			wrong++
		}
		rows, f.found.Host = append(rows, row), append(f.found.Host, inJSON)
	}
	verdict := fmt.Sprintf("this host: %d of %d are WRONG", wrong, len(all))
	if wrong == 0 {
		verdict = "this host: OK"
	}
	var err error
	if f.json {
		f.found.OK = wrong == 0
		err = printJSON(cmd.OutOrStdout(), f.found)
	} else {
		err = writeRows(cmd.OutOrStdout(), rows, func(_ int, _, padded string) string { return padded })
		fmt.Fprintln(cmd.ErrOrStderr(), verdict)
	}
	if err == nil && wrong > 0 {
		err = exitCode(1)
	}
	return err
}
