package porter

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/config"
	"nightporter/internal/journal"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// shownRules returns the same, and what else decides about knocks, as it is shown.
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

// ignore notes a packet of which the readers know nothing, or not that it does not
// wake the machine.
func (l *loop) ignore(e *entry, seen machine.Ignored) {
	if now := time.Now(); e.judge.CountIgnored(seen, now) {
		e.reportIgnored(l.log, l.journal, now)
	}
}

// tellIgnored reports packets that do not wake the machine: of each reason and port one
// event an hour, so that the reason is found why a machine sleeps on. More in the
// journal would wear out the disk.
func (e *entry) reportIgnored(log *slog.Logger, events eventLog, now time.Time) {
	for _, i := range e.judge.TakeUnreported(now) {
		reason := reasonOf(i.Reason)
		events.Append(journal.Record{Event: journal.Event{
			Kind: journal.Suppressed, At: now, Machine: e.name(), MAC: e.Spec().MAC,
			Source: i.Source, Service: i.Target(), Reason: reason,
		}})
		log.LogAttrs(context.Background(), slog.LevelInfo, "knock does not wake", slog.String("event", "suppressed"), slog.Any("machine", e),
			slog.String("reason", reason), slog.String("knock", ignoredKnock(&i)))
	}
}

// reasonOf returns a reason as events show it: with the key of the configuration, where
// one alone decides.
func reasonOf(s machine.Suppression) string {
	switch s {
	case machine.TooFewKnocks, machine.InQuietHours, machine.WhileCooling, machine.FromThisHost, machine.OldConnection:
		return "wake." + s.String()
	}
	return s.String()
}

// ignoredKnock says from where to where the packets were.
func ignoredKnock(i *machine.Ignored) string {
	if i.Target() == i.Service.String() {
		return knockText(i.Source, i.Service)
	}
	return i.Source.Addr().String() + " -> " + cmp.Or(i.Target(), "other ports")
}

// wanted notes that a program of our own host does not wake a machine. What the kernel
// has looked for may be older than the machine's sleep.
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
