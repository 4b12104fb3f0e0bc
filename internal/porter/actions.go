package porter

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/machine"
)

// tell gives a machine an event, and carries out what follows from it. An event
// that an action leads to is handled after that of the action.
func (l *loop) tell(e *entry, event machine.Event) {
	l.pending = append(l.pending, pending{e, event})
	if len(l.pending) > 1 {
		return // the outermost call goes on with it
	}
	for i := 0; i < len(l.pending); i++ {
		l.handle(l.pending[i].entry, l.pending[i].event)
	}
	l.pending = l.pending[:0]
}

func (l *loop) handle(e *entry, event machine.Event) {
	now := time.Now()
	actions := e.Handle(now, event)
	var magicErr error
	for _, a := range actions {
		// Before all else, and before a line of log: a client waits for it.
		if _, ok := a.(machine.SendMagic); ok {
			magicErr = l.sendMagic(e)
		}
	}
	persist := false
	var about []slog.Attr // goes with the next transition's line
	for _, a := range actions {
		switch a := a.(type) {
		case machine.SendMagic:
			l.logMagic(e, a.Attempt, magicErr)
		case machine.Moved:
			l.logMove(e, a, about)
			about = nil
		case machine.Persist:
			persist = true
		default:
			about = append(about, wakeAttrs(a)...)
			l.do(now, e, a)
		}
	}
	l.record(e, actions, persist)
	l.runDeferred()
	if l.machines.has(e) {
		l.timers.Set(e, e.Next())
		l.checks.Set(e, e.readiness.Next())
		l.await(e)
	}
	e.knockedAt = time.Time{} // held off: what follows is not our latency
}

// await notes whether a machine is awaited.
func (l *loop) await(e *entry) {
	if s := e.State(); s == machine.Waking || s == machine.Arriving {
		l.awaited[e] = true
	} else {
		delete(l.awaited, e)
	}
}

// deferUntilServed puts off what the kernel may take its time for, as its lock on
// all network settings can be held for long, until no client waits for it.
func (l *loop) deferUntilServed(f func()) { l.deferred = append(l.deferred, f) }

func (l *loop) runDeferred() {
	for _, f := range l.deferred {
		f()
	}
	l.deferred = l.deferred[:0]
}

// do carries out one action.
func (l *loop) do(now time.Time, e *entry, a machine.Action) {
	switch a := a.(type) {
	case machine.Claim, machine.Yield, machine.Release, machine.EndClaim, machine.Announce, machine.StopAnnouncing:
		l.doAddresses(now, e, a)
	case machine.Probe:
		l.probe(e, a)
	case machine.Recheck:
		l.recheck(e, a.Addr)
	case machine.HandOver:
		e.readiness.Expect(now, a.Services)
		l.pin(e) // it may have announced itself with its first frame
	case machine.AdmitClients:
		l.admitClients(e, a.Services)
	case machine.Hold:
		l.setHold(e, a.Mode)
	case machine.DropPackets:
		e.hold.Drop()
	case machine.Observe:
		l.observe(e, a)
	case machine.FilterKnocks:
		e.judge.Follow(a.Fell, a.AtRest)
	case machine.WakeEnded:
		l.metrics.Booted(e.name(), a.Boot)
		if !a.Unready {
			l.metrics.Ready(e.name(), a.Ready)
		}
	case machine.ConflictSeen:
		l.concede(e, a)
	case machine.ConflictOver:
		l.takeBack(e, a.Addr)
	case machine.AddressWaits:
		l.logWaits(e, a.Addr, a.Reason)
	case machine.WatchBegan:
		l.log.Info("machine is watched", "event", "watched", "machine", e, "mac", e.Spec().MAC)
	case machine.Elsewhere:
		l.log.Warn("machine is up at another address", "event", "elsewhere", "machine", e, "mac", e.Spec().MAC, "ip", a.Addr,
			"remedy", "give the machine its address back, or register the new one")
	case machine.Forget:
		l.forget(e, a.Reason)
	}
}

// doAddresses carries out what changes who answers for addresses.
func (l *loop) doAddresses(now time.Time, e *entry, a machine.Action) {
	if e.nic == nil {
		return // nothing was ever claimed
	}
	switch a := a.(type) {
	case machine.Claim:
		l.claim(now, e, a)
	case machine.Yield:
		e.target.Silence(a.Addrs)
		e.stopAnnouncing(a.Addrs)
		l.deferUntilServed(func() { l.kernel.disown(e.nic, a.Addrs) })
	case machine.Release:
		e.target.Silence(a.Addrs)
		e.stopAnnouncing(a.Addrs)
		l.deferUntilServed(func() {
			l.kernel.disown(e.nic, a.Addrs)
			e.leaveGroups(l.log, a.Addrs)
		})
	case machine.EndClaim:
		l.deferUntilServed(func() { l.kernel.forget(e.nic, a.Addrs) })
	case machine.Announce:
		mac := e.target.MAC
		l.deferUntilServed(func() { l.kernel.guide(e.nic, a.Addrs, mac) })
		for _, ip := range a.Addrs {
			e.nic.announcer.Announce(now, ip, mac)
		}
	case machine.StopAnnouncing:
		e.stopAnnouncing(a.Addrs)
	}
}

// stopAnnouncing ends the announcements of addresses.
func (e *entry) stopAnnouncing(addrs []netip.Addr) {
	for _, ip := range addrs {
		e.nic.announcer.Cancel(ip)
	}
}

// claim takes addresses. What the kernel has to be told before can take long; a
// machine that has spoken for one meanwhile tests it perhaps, and must not hear of
// us there. What it said is on its way here, and yields that address.
func (l *loop) claim(now time.Time, e *entry, c machine.Claim) {
	l.kernel.own(e.nic, c.Addrs) // before the first packet can come to us
	e.target.Answer(c.Addrs)
	spoken := e.target.Spoken(c.Addrs)
	e.target.Silence(spoken)
	e.joinGroups(l.log, c.Addrs)
	for _, ip := range c.Addrs {
		switch {
		case slices.Contains(spoken, ip):
		case c.AnnounceAfter > 0:
			e.nic.announcer.AnnounceFrom(now.Add(c.AnnounceAfter), ip, e.nic.MAC())
		default:
			e.nic.announcer.Announce(now, ip, e.nic.MAC())
		}
	}
}

// observe changes what the readers look out for.
func (l *loop) observe(e *entry, o machine.Observe) {
	e.target.SetCardAnswers(o.IgnoreBare)
	e.target.SetUndefended(o.Undefended)
	e.target.SetDoubtful(o.Doubtful)
	if e.attention != o.Attention && e.nic != nil {
		e.nic.stale = true
	}
	e.attention = o.Attention
}

// concede leaves an address to the host that uses it: clients that wait there are
// sent to that host, and nothing that comes for it is kept or forwarded any more.
func (l *loop) concede(e *entry, c machine.ConflictSeen) {
	e.target.Concede(c.Addr, true)
	for _, g := range e.hold.Dismiss(func(s machine.Service) bool { return s.Addr == c.Addr }) {
		if e.nic != nil && g.MAC != e.nic.MAC() {
			e.nic.point(g, c.By)
		}
	}
	if c.Undefended {
		l.log.Warn("address left to a host that tests it, because the machine does not wake", "event", "conflict", "machine", e, "ip", c.Addr, "used_by", c.By)
		return
	}
	l.log.Warn("address conflict: left to the other host", "event", "conflict", "machine", e, "ip", c.Addr, "used_by", c.By,
		"remedy", "give the machine or the other host another address, then register the machine again")
}

// takeBack takes an address back that was left to another host.
func (l *loop) takeBack(e *entry, ip netip.Addr) {
	e.target.Concede(ip, false)
	if e.nic != nil {
		e.nic.stale = true // it may have been another machine's meanwhile
	}
	l.deferUntilServed(func() { // when we answer for it
		l.log.Info("address conflict over: no other host answers for it", "event", "conflict_over", "machine", e, "ip", ip)
	})
}

func (l *loop) logWaits(e *entry, ip netip.Addr, reason string) {
	if e.nic != nil {
		e.nic.stale = true // it may be another machine's now, or no more
	}
	if reason == "" {
		l.log.Info("address can be claimed", "event", "address_claimable", "machine", e, "ip", ip)
		return
	}
	l.log.Warn("address waits: it cannot be claimed at present", "event", "address_waiting", "machine", e, "ip", ip, "reason", reason)
}

// wakeAttrs returns what a transition's log line says of the wake.
func wakeAttrs(a machine.Action) []slog.Attr {
	switch a := a.(type) {
	case machine.WakeBegan:
		if a.Service.Addr.IsValid() {
			return []slog.Attr{slog.String("knock", knock(a.Source, a.Service))}
		}
		return []slog.Attr{slog.String("trigger", a.Trigger.String()), slog.String("by", a.By)}
	case machine.WakeEnded:
		boot := slog.Duration("boot", round(a.Boot))
		if a.Unready {
			return []slog.Attr{boot}
		}
		return []slog.Attr{boot, slog.Duration("ready", round(a.Ready))}
	case machine.WakeFailed:
		return []slog.Attr{slog.String("trigger", a.Trigger.String()), slog.Int("attempts", a.Attempts)}
	}
	return nil
}

// knock says which client knocked where. An echo request comes from no port.
func knock(from netip.AddrPort, at machine.Service) string {
	source := from.String()
	if at.Protocol == machine.ICMP {
		source = from.Addr().String()
	}
	return source + " -> " + at.String()
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// firmwareRemedy goes with the warning that a machine is not claimed because
// something else answers for it.
const firmwareRemedy = `switch ARP offload and NS offload off for the machine's network card ` +
	`(Windows: Set-NetAdapterPowerManagement -Name NAME -ArpOffload Disabled -NSOffload Disabled, or the adapter's advanced properties; ` +
	`elsewhere in its driver or firmware), give its management firmware (AMT, BMC) an address of its own, or set claim.override_offload: true`

func (l *loop) logMove(e *entry, m machine.Moved, about []slog.Attr) {
	level := slog.LevelInfo
	switch {
	case m.Repeated:
		level = slog.LevelDebug
	case m.Why == machine.WhyOnlyCard && m.To == machine.Awake:
		level, about = slog.LevelWarn, append(about, slog.String("remedy", firmwareRemedy))
	case m.Why == machine.WhyNeverSilent || m.Why == machine.WhyAttemptsGone || m.Why == machine.WhyNotReady:
		level = slog.LevelWarn
	}
	attrs := append([]slog.Attr{
		slog.String("event", "moved"), slog.Any("machine", e), slog.String("from", m.From.String()), slog.String("to", m.To.String()),
		slog.String("reason", string(m.Why)), slog.Duration("after", round(m.After)),
	}, about...)
	l.log.LogAttrs(context.Background(), level, "machine "+m.To.String(), attrs...)
}

// record puts what an event led to into the journal, which waits for no disk. With
// persist the machine's memory goes with the last of it.
func (l *loop) record(e *entry, actions []machine.Action, persist bool) {
	wake := e.LastWake()
	events := journal.EventsOf(actions, &wake)
	if len(events) == 0 && persist {
		events = append(events, journal.Event{}) // the memory alone
	}
	for i, event := range events {
		if event.Kind != "" {
			event.At, event.Machine, event.MAC = time.Now(), e.name(), e.Spec().MAC
		}
		r := journal.Record{Event: event}
		if persist && i == len(events)-1 {
			l.remember(e, &r)
		}
		l.journal.Append(r)
	}
}

// remember has a record carry what is to be known of the machine after a restart.
func (l *loop) remember(e *entry, r *journal.Record) {
	if !l.machines.has(e) || !e.looked() {
		r.Forgotten = e.Spec().MAC // it would have to register again
		return
	}
	mem := e.Memory()
	r.Memory = &mem
}
