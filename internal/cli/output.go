package cli

import (
	"encoding/json"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"

	"nightporter/internal/machine"
)

// newTable returns a writer of aligned columns, separated by tabs in its input.
func newTable(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }

// writeRows prints rows in columns. paint colors a cell after the cell is padded, since
// escape sequences have no width on the screen.
func writeRows(w io.Writer, rows [][]string, paint func(column int, cell, padded string) string) error {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			padded := cell
			if i < len(row)-1 {
				padded += strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2)
			}
			line.WriteString(paint(i, cell, padded))
		}
		if _, err := io.WriteString(w, line.String()+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// colorOff ends a color (ECMA-48 SGR).
const colorOff = "\x1b[0m"

// stateColors are the ANSI colors of states. States in transition share one.
var stateColors = map[string]string{
	machine.Awake.String():    "\x1b[32m",
	machine.Settling.String(): "\x1b[33m",
	machine.Asleep.String():   "\x1b[34m",
	machine.Waking.String():   "\x1b[33m",
	machine.Arriving.String(): "\x1b[33m",
}

// wakeFailedSuffix follows the state of a machine whose last wake failed.
const wakeFailedSuffix = ", did not wake"

// colorize returns text in the color of a state. A failed wake is red.
func colorize(state, text string) string {
	if strings.HasSuffix(state, wakeFailedSuffix) {
		return "\x1b[31m" + text + colorOff
	}
	if color := stateColors[state]; color != "" {
		return color + text + colorOff
	}
	return text
}

// printable replaces control characters, since names and reasons come from the network
// and could control the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, s)
}

// printJSON prints v as indented JSON.
func printJSON(w io.Writer, v any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(v)
}
