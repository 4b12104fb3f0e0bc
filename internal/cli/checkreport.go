package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"nightporter/internal/config"
)

// checkReport is the output of check --json.
type checkReport struct {
	OK       bool          `json:"ok"`
	File     string        `json:"file"` // empty: no file was read
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

// findingJSON is a finding. Text is the error unless OK is true.
type findingJSON struct {
	What string `json:"what"`
	OK   bool   `json:"ok"`
	Text string `json:"text"`
}

// printErrors prints one error a line, each with its key.
func (f *checkFlags) printErrors(cmd *cobra.Command, err error) error {
	if !f.json {
		fmt.Fprintln(cmd.ErrOrStderr(), err)
		return exitCode(1)
	}
	if err := printJSON(cmd.OutOrStdout(), checkReport{Errors: strings.Split(err.Error(), "\n"), Changed: []changedKey{}}); err != nil {
		return err
	}
	return exitCode(1)
}

// newReport describes a valid configuration.
func (f *checkFlags) newReport(conf *config.Config, origins *config.Origins) checkReport {
	found := checkReport{OK: true, File: origins.File, Errors: []string{}, Machines: len(conf.Machines), Changed: []changedKey{}}
	for _, path := range config.Changed(config.Default(), conf) {
		found.Changed = append(found.Changed, changedKey{path, origins.Of(path)})
	}
	return found
}

// printHost prints the findings about this host, then the verdict.
func (f *checkFlags) printHost(cmd *cobra.Command, all []finding) error {
	var rows [][]string
	wrong := 0
	for _, found := range all {
		row, inJSON := []string{"ok", found.what, found.text}, findingJSON{found.what, true, found.text}
		if found.err != nil {
			row, inJSON = []string{"WRONG", found.what, found.err.Error()}, findingJSON{found.what, false, found.err.Error()}
			f.report.Errors = append(f.report.Errors, found.what+": "+found.err.Error())
			wrong++
		}
		rows, f.report.Host = append(rows, row), append(f.report.Host, inJSON)
	}
	verdict := fmt.Sprintf("this host: %d of %d are WRONG", wrong, len(all))
	if wrong == 0 {
		verdict = "this host: OK"
	}
	var err error
	if f.json {
		f.report.OK = wrong == 0
		err = printJSON(cmd.OutOrStdout(), f.report)
	} else {
		err = writeRows(cmd.OutOrStdout(), rows, func(_ int, _, padded string) string { return padded })
		fmt.Fprintln(cmd.ErrOrStderr(), verdict)
	}
	if err == nil && wrong > 0 {
		err = exitCode(1)
	}
	return err
}
