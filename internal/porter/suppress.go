package porter

import (
	"cmp"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/config"
	"nightporter/internal/journal"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// shownRules returns all rules about knocks for the status page and the API.
func (l *loop) shownRules(now time.Time) machine.WakeRules {
	c := &l.conf.Wake
	return machine.WakeRules{
		From: c.From, Established: c.Established,
		Local: l.started.Wake.Local, Bound: l.kernel.bind, // as of the start
		LocalLater: c.Local && !l.started.Wake.Local && l.conf.Claim.Mode != config.ModeBind,
		QuietHours: c.QuietHours.String(), Quiet: c.QuietHours.Contains(now),
		MinKnocks: c.MinKnocks, KnockWindow: c.KnockWindow, Cooldown: c.Cooldown,
	}
}

// ignore records an ignored packet that the readers have not recorded.
func (l *loop) ignore(e *entry, seen machine.Ignored) {
	if now := time.Now(); e.filter.CountIgnored(seen, now) {
		e.reportIgnored(l.log, l.journal, now)
	}
}

// reportIgnored reports packets that do not wake the machine, one event an hour for each
// reason and port. So a user finds why a machine stays asleep, and the journal does not
// wear out the disk.
func (e *entry) reportIgnored(log *slog.Logger, events eventLog, now time.Time) {
	for _, i := range e.filter.TakeUnreported(now) {
		reason := reasonOf(i.Reason)
		events.Append(journal.Record{Event: journal.Event{
			Kind: journal.Suppressed, At: now, Machine: e.name(), MAC: e.Spec().MAC,
			Source: i.Source, Service: i.Target(), Reason: reason,
		}})
		log.Info("knock does not wake", "event", "suppressed", "machine", e, "reason", reason, "knock", ignoredKnock(&i))
	}
}

// reasonOf returns a reason as events show it: with the configuration key if a single key
// decides.
func reasonOf(s machine.Suppression) string {
	switch s {
	case machine.TooFewKnocks, machine.InQuietHours, machine.WhileCooling, machine.FromThisHost, machine.OldConnection:
		return "wake." + s.String()
	}
	return s.String()
}

// ignoredKnock returns source and destination of ignored packets.
func ignoredKnock(i *machine.Ignored) string {
	if i.Target() == i.Service.String() {
		return knockText(i.Source, i.Service)
	}
	return i.Source.Addr().String() + " -> " + cmp.Or(i.Target(), "other ports")
}

// localPacket records that a program of our own host does not wake a machine. The kernel
// may have begun to resolve an address before the machine fell asleep.
func (l *loop) localPacket(w localPacket) {
	for _, e := range l.machines.byIP[w.Addr] {
		fell, rests := e.AtRest()
		if !rests || fell.IsZero() || e.nic == nil || !slices.Contains(e.Answered(), w.Addr) {
			continue
		}
		if w.index != 0 && (w.index != e.nic.Index() || time.Since(fell) < lan.UnresolvedTime) {
			continue
		}
		l.ignore(e, machine.Ignored{Reason: machine.FromThisHost, Service: w.Service, Source: netip.AddrPortFrom(e.nic.ownAddressNear(w.Addr), 0)})
	}
}
