package porter

import (
	"log/slog"
	"time"

	"nightporter/internal/machine"
)

// dispatch passes an event to a machine and carries out the actions that the machine
// returns. An event that an action causes is queued behind the present one.
func (l *loop) dispatch(e *entry, event machine.Event) {
	l.pending = append(l.pending, pending{e, event})
	if len(l.pending) > 1 {
		return // the outermost call handles it
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
		// First of all, and before any log line: a client waits for it.
		if _, ok := a.(machine.SendMagic); ok {
			magicErr = l.waker().sendMagic(e)
		}
	}
	var about []slog.Attr // goes with the next transition's line
	for _, a := range actions {
		switch a := a.(type) {
		case machine.SendMagic:
			e.logMagic(l.log, a, magicErr)
			if !a.Again {
				l.waker().runCommand(e, a)
			}
		case machine.Moved:
			e.logMove(l.log, a, about)
			about = nil
		case machine.Persist:
			e.record(l.journal, actions, l.machines.has(e))
		default:
			about = append(about, wakeAttrs(a)...)
			l.do(now, e, a)
		}
	}
	l.kernel.runDeferred()
	if l.machines.has(e) {
		l.timers.Set(e, e.Next())
		l.checks.Set(e, e.readiness.Next())
		l.awaited.note(e)
	}
	e.knockedAt = time.Time{} // a later magic packet does not measure this knock
}

// do carries out one action.
func (l *loop) do(now time.Time, e *entry, a machine.Action) {
	switch a := a.(type) {
	case machine.Claim, machine.Yield, machine.Release, machine.EndClaim, machine.Announce, machine.StopAnnouncing:
		l.kernel.carryOut(now, e, a)
	case machine.Probe:
		l.probe(e, a)
	case machine.Recheck:
		l.recheck(e, a.Addr)
	case machine.CheckServices:
		spec := e.Spec()
		e.readiness.Expect(now, &spec, a.Services)
		pinner{e}.pin() // it may have announced itself with its first frame
	case machine.AdmitClients:
		e.admitClients(&l.kernel, a.Services)
	case machine.Hold:
		e.setHold(&l.kernel, a.Mode)
	case machine.DropPackets:
		e.hold.Drop()
	case machine.Observe:
		e.observe(a)
	case machine.FilterKnocks:
		e.filter.SetAtRest(a.AsleepSince, a.AtRest)
	case machine.KnockIgnored:
		l.ignore(e, machine.Ignored{Reason: machine.AfterFailures, Service: a.Service, Source: a.Source})
	case machine.WakeEnded:
		if a.Test {
			break
		}
		l.metrics.Booted(e.name(), a.Boot)
		if !a.Unready {
			l.metrics.Ready(e.name(), a.Ready)
		}
	case machine.ConflictSeen:
		e.concede(l.log, a)
	case machine.ConflictOver:
		l.kernel.takeBack(e, a.Addr)
	case machine.AddressWaits:
		e.logPlace(l.log, a.Addr, a.Reason)
	case machine.WatchBegan:
		l.log.Info("machine is monitored", "event", "watched", "machine", e, "mac", e.Spec().MAC)
	case machine.PauseBegan, machine.PauseEnded, machine.Deferred:
		e.logPause(l.log, a)
	case machine.ServiceReady:
		l.log.Info("service ready in a test", "event", "service_ready", "machine", e, "service", a.Service.String(), "after", round(a.After))
	case machine.Elsewhere:
		l.log.Warn("machine is up at another address", "event", "elsewhere", "machine", e, "mac", e.Spec().MAC, "ip", a.Addr,
			"remedy", "give the machine its address back, or register the new one")
	case machine.Forget:
		l.forget(e, a.Reason)
	}
}
