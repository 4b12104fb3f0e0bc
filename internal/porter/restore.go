package porter

import (
	"time"

	"nightporter/internal/machine"
)

// resume restores one machine from its memory. Where its addresses can be claimed is
// decided afterwards, by place: the network may be another, or not be available yet.
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
	default: // an agentless machine has only its configuration
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
	l.log.Info("machine resumed", "event", "resumed", "machine", e,
		"was", mem.State.String(), "since", mem.Since, "state", e.State().String())
	l.dispatch(e, e.configuration())
	switch {
	case why != "":
		naming{l}.reportName(e, had, why)
	case had != was:
		naming{l}.reportEntryName(e, was)
	}
}

// entryRemoved is the reason if a machine without a registration left the configuration.
const entryRemoved = "its entry was removed from the configuration"

// noLongerAgentless is the reason if a machine has to register from now on.
const noLongerAgentless = "its entry in the configuration does not say agentless: true any more"

// forgetReason returns why a machine without a registration is forgotten. configured means
// that it is still in the configuration.
func forgetReason(configured bool) string {
	if configured {
		return noLongerAgentless
	}
	return entryRemoved
}
