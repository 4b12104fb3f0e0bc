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

// showReload has the API, the page and the events tell how a reload ended. restart are
// the keys that wait for a restart.
func (d *Daemon) showReload(err error, restart []string) {
	e := journal.Event{Kind: journal.Reloaded, At: time.Now()}
	state := web.ConfigState{Healthy: true, Loaded: e.At, Restart: restart}
	switch {
	case err != nil:
		state = d.web.Config() // goes on
		state.Healthy, state.Reason = false, oneLine(err)
		e.Kind, e.Reason = journal.ReloadFailed, state.Reason
	case len(restart) > 0:
		e.Reason = "only after a restart: " + strings.Join(restart, ", ")
	}
	d.web.SetConfig(state)
	d.journal.Append(journal.Record{Event: e})
}

// shownFaults is how many errors of a configuration are shown.
const maxFaults = 3

// onOneLine says what is wrong with a configuration, whose error has a line for each value.
func oneLine(err error) string {
	lines := strings.Split(err.Error(), "\n")
	if more := len(lines) - maxFaults; more > 0 {
		lines = append(lines[:maxFaults], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "; ")
}
