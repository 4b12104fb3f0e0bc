package cli

import (
	"cmp"
	"fmt"
	"strings"

	"nightporter/internal/machine"
	"nightporter/internal/web"
)

// porterLine says in one line how the porter and its machines are.
func porterLine(host string, porter web.Status, machines []web.Machine) string {
	line := fmt.Sprintf("porter %s at %s: ready", cmp.Or(printable(porter.Version), "of an unknown version"), host)
	if !porter.Ready {
		line = strings.TrimSuffix(line, "ready") + "not ready"
	}
	if len(machines) == 0 {
		return line + ", no machine so far"
	}
	asleep, failed := 0, 0
	for _, m := range machines {
		if m.State == machine.Asleep {
			asleep++
		}
		if m.WakeFailed {
			failed++
		}
	}
	line = fmt.Sprintf("%s, %d of %d machines asleep", line, asleep, len(machines))
	if failed > 0 {
		line += fmt.Sprintf(", %d did not wake", failed)
	}
	return line
}

// stateOf is what the list says of a machine's state.
func stateOf(m *web.Machine) string {
	if m.PausedUntil != "" {
		return "paused until " + moment(m.PausedUntil)
	}
	return wakeable(m)
}

// wakeable is a machine's state, and whether its last wake failed.
func wakeable(m *web.Machine) string {
	if m.WakeFailed {
		return m.State.String() + wakeFailed
	}
	return m.State.String()
}

// state is wakeable, in colour on a terminal.
func (f *statusFlags) state(m *web.Machine) string {
	words := wakeable(m)
	if f.color {
		return painted(words, words)
	}
	return words
}
