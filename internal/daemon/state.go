package daemon

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/web"
)

// startOf is the event of a start.
func startOf(version string, past *journal.Past) journal.Event {
	e := journal.Event{Kind: journal.Started, At: time.Now(), Version: cmp.Or(version, "unknown"), Machines: len(past.Machines)}
	if past.Crashed {
		e.Reason = "the run before did not end in order (a crash, or power was lost)"
	}
	return e
}

// showReload shows the result of a reload in the API, on the page and as an event. restart
// has the keys that need a restart.
func (d *Daemon) showReload(err error, restart []string) {
	e := journal.Event{Kind: journal.Reloaded, At: time.Now()}
	state := web.ConfigState{Healthy: true, Loaded: e.At, Restart: restart}
	switch {
	case err != nil:
		state = d.web.Config() // the old configuration stays
		state.Healthy, state.Reason = false, oneLine(err)
		e.Kind, e.Reason = journal.ReloadFailed, state.Reason
	case len(restart) > 0:
		e.Reason = "only after a restart: " + strings.Join(restart, ", ")
	}
	d.web.SetConfig(state)
	d.journal.Append(journal.Record{Event: e})
}

// maxFaults is how many errors of a configuration are shown.
const maxFaults = 3

// oneLine returns the error of a configuration, which has a line for each value, as one line.
func oneLine(err error) string {
	lines := strings.Split(err.Error(), "\n")
	if more := len(lines) - maxFaults; more > 0 {
		lines = append(lines[:maxFaults], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "; ")
}
