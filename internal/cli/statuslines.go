package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"nightporter/internal/web"
)

// warnConfig says that the porter does not work by the configuration that is in its file.
func warnConfig(w io.Writer, c web.ConfigState) {
	if len(c.Restart) > 0 {
		fmt.Fprintf(w, "configuration: restart nightporter for %s, of which the change takes effect only then\n", printable(strings.Join(c.Restart, ", ")))
	}
	if c.Healthy || c.Reason == "" { // an older porter says nothing of it
		return
	}
	fmt.Fprintf(w, "configuration not reloaded; the porter goes on with the configuration from %s:\n", c.Loaded.Local().Format(time.DateTime))
	for line := range strings.SplitSeq(c.Reason, "; ") { // one for each error
		fmt.Fprintln(w, "  "+printable(line))
	}
}

// countedSince says since when SLEPT and SAVED count, or nothing where that is not known of
// each machine.
func countedSince(machines []web.Machine) string {
	byTime := func(a, b web.Machine) int { return strings.Compare(a.CountedSince, b.CountedSince) }
	first, last := slices.MinFunc(machines, byTime).CountedSince, slices.MaxFunc(machines, byTime).CountedSince
	switch {
	case first == "":
		return ""
	case day(first) == day(last):
		return "SLEPT and SAVED count since " + day(first)
	}
	return fmt.Sprintf("SLEPT and SAVED count since each machine was first known, the first on %s, the last on %s", day(first), day(last))
}

// day shows the date of a time of the API on the calendar of this host.
func day(s string) string {
	date, _, _ := strings.Cut(moment(s), " ")
	return date
}

// sinceThen adds since when something counts, where that is known.
func sinceThen(s string) string {
	if s == "" {
		return ""
	}
	return ", since " + moment(s)
}
