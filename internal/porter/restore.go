package porter

import (
	"context"
	"log/slog"
	"time"

	"nightporter/internal/machine"
)

// resume goes on with one machine's life. Where its addresses can be claimed is
// judged afterwards: the network may be another, or not be there yet.
func (l *loop) resume(mem machine.Memory, until, now time.Time) {
	known := l.machines.byMAC[mem.Spec.MAC]
	var configured *machine.Spec
	if known != nil {
		configured = known.configured
	}
	switch {
	case !mem.Registered.IsZero():
	case configured == nil || !configured.Agentless:
		forgetInJournal(l.journal, mem.Spec, forgetReason(configured != nil))
		return
	default: // the configuration alone speaks for it
		mem.Spec = *configured
	}
	was := mem.Spec.Name
	if mem.NameConfigured && configured != nil {
		mem.Spec.Name = configured.Name
	}
	had, why := mem.Spec.Name, l.machines.restoreName(&mem.Spec)
	if known != nil {
		l.remove(known)
	}
	e := l.insert(machine.Restore(mem, l.policy(), until, now))
	e.configured = configured
	l.log.LogAttrs(context.Background(), slog.LevelInfo, "machine resumed", slog.String("event", "resumed"), slog.Any("machine", e),
		slog.String("was", mem.State.String()), slog.Time("since", mem.Since), slog.String("state", e.State().String()))
	l.dispatch(e, e.configuration())
	switch {
	case why != "":
		l.reportName(e, had, why)
	case had != was:
		l.reportEntryName(e, was)
	}
}

// leftConfiguration is why a machine is forgotten that has never registered.
const entryRemoved = "its entry was removed from the configuration"

// noLongerAgentless is why one is forgotten that waits for its registration now.
const noLongerAgentless = "its entry in the configuration does not say agentless: true any more"

// whyForgotten is why a machine is forgotten that has never registered, and that the
// configuration may still name.
func forgetReason(configured bool) string {
	if configured {
		return noLongerAgentless
	}
	return entryRemoved
}
