package porter

import (
	"context"
	"log/slog"
	"time"

	"nightporter/internal/config"
	"nightporter/internal/fastpath"
	"nightporter/internal/handover"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
	"nightporter/internal/metrics"
	"nightporter/internal/readycheck"
	"nightporter/internal/wakecmd"
)

const (
	// heldBytes is how much memory the held packets of all machines may take together.
	heldBytes = 16 << 20

	// heldReserve is the memory that each machine has besides, whatever is sent to others:
	// enough for a dozen connections and a large datagram.
	heldReserve = 16 << 10
)

func newLoop(conf *config.Config, m *metrics.Metrics, log *slog.Logger) *loop {
	l := &loop{
		interfaces: newInterfaces(m, log),
		started:    conf, conf: conf, log: log, metrics: m,
		kernel:   kernel{bind: conf.Claim.Mode == config.ModeBind, log: log},
		machines: newRegistry(),
		budget:   handover.NewBudget(heldBytes, heldReserve),
		awaited:  make(awaited),
		checker:  readycheck.New(),
		asides:   newWakeInterfaces(log),
		own:      newOwnHost(log),
	}
	l.commands = wakecmd.New(log, l.waker().commandFailed)
	return l
}

// run handles events until ctx ends, and then releases all claims.
func (l *loop) run(ctx context.Context, requests <-chan func(), changes <-chan lan.Changes, running func()) {
	for _, n := range l.nics {
		linkKeeper{l}.inspect(n, lan.Change{}) // the cable may be out from the start
	}
	defer l.checker.Close()
	l.place()
	running()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			l.releaseAll()
			return
		case s := <-l.sightings:
			l.handleSighting(s)
		case f := <-requests:
			l.drain()
			f()
		case c := <-changes:
			linkKeeper{l}.linksChanged(c)
		case <-l.readerFailures:
			linkKeeper{l}.readersFailed()
		case r := <-l.checker.Results():
			readinessLoop{l}.checked(r)
		case w := <-l.own.packets:
			l.localPacket(w)
		case <-timer.C:
		}
		l.tick()
		l.publish()
		if next := l.next(); !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// drain handles the queued sightings, so that many machines at once cost one new view. It
// is bounded, because requests and timers wait meanwhile.
func (l *loop) drain() {
	for range sightingQueue {
		select {
		case s := <-l.sightings:
			l.handleSighting(s)
		default:
			return
		}
	}
}

// handleSighting passes a sighting to its machine as an event.
func (l *loop) handleSighting(s fastpath.Sighting) {
	s.Taken()
	e := l.machines.byMAC[s.Target.MAC]
	if e == nil || e.target != s.Target {
		return // the machine registered anew or was forgotten meanwhile
	}
	switch s.Kind {
	case fastpath.SawFrame:
		sign := machine.Frame
		if s.Other.IsValid() {
			sign = machine.Uses
		}
		l.dispatch(e, machine.Heard{Addr: s.Other, Sign: sign})
	case fastpath.SawTest:
		l.dispatch(e, machine.Heard{Addr: s.Address.IP(), Sign: machine.Tests})
	case fastpath.SawUse:
		l.dispatch(e, machine.Heard{Addr: s.Address.IP(), Sign: machine.Uses})
	case fastpath.SawPacket:
		l.dispatch(e, machine.Heard{Addr: s.Address.IP(), Sign: machine.Data})
		if e.NICAnswers() { // the card alone sends no TCP or UDP
			readinessLoop{l}.answered(e, s.Address.IP())
		}
	case fastpath.SawOtherAnswer:
		l.dispatch(e, machine.Answered{Addr: s.Other, Proof: machine.ByNeighbor})
	case fastpath.SawAnswer:
		readinessLoop{l}.proved(e, s.Address.IP(), machine.ByNeighbor)
		l.recover(e) // the reader may have stopped answering before it knew of the card
	case fastpath.SawEcho:
		readinessLoop{l}.proved(e, s.Address.IP(), machine.ByEcho)
	case fastpath.SawAccept:
		readinessLoop{l}.proved(e, s.Address.IP(), machine.BySystem)
		if e.State() == machine.Arriving {
			readinessLoop{l}.accepted(e, s.Service.ID)
		}
	case fastpath.SawReset:
		readinessLoop{l}.proved(e, s.Address.IP(), machine.BySystem)
		pinner{e}.noteRefusal(s.Address.IP())
	case fastpath.SawReject:
		e.hold.ProbeRefused(s.Service.ID)
		e.readiness.Unreachable(time.Now(), s.Service.ID)
		l.checks.Set(e, e.readiness.Next())
	case fastpath.SawKnock:
		if e.State() == machine.Asleep {
			e.knockedAt = s.At
		}
		l.dispatch(e, machine.Knocked{Service: s.Service.ID, Source: s.Source})
	case fastpath.SawSuppressed:
		e.reportIgnored(l.log, l.journal, time.Now())
	case fastpath.SawConflict:
		l.dispatch(e, machine.Conflicted{Addr: s.Address.IP(), By: s.By})
	case fastpath.SawContest:
		l.dispatch(e, machine.Contested{Addr: s.Address.IP(), By: s.By})
	case fastpath.SawRequest:
		pinner{e}.noteRequesters()
	case fastpath.SawTraffic:
		l.dispatch(e, machine.Visited{})
	case fastpath.SawDiversion:
		pinner{e}.noteDiversion(s.Address.IP())
	}
}

// tick runs the timers that are due. Queued sightings go first: the sender's address must
// not be claimed before the sender's frame is handled.
func (l *loop) tick() {
	now := time.Now()
	l.drain()
	for e, ok := l.timers.Pop(now); ok; e, ok = l.timers.Pop(now) {
		l.dispatch(e, machine.Ticked{Pace: l.awaited.pace()})
		l.drain()
	}
	l.pinRounds(now) // before the services are probed
	for e, ok := l.checks.Pop(now); ok; e, ok = l.checks.Pop(now) {
		readinessLoop{l}.checkReadiness(now, e)
	}
	for _, n := range l.nics {
		linkKeeper{l}.tickNIC(now, n)
		n.announcer.Run(now)
		n.corrections.run(now, func(client handover.Client) { l.correct(n, client) })
		l.recoverLost(n)
	}
	if l.kernel.guard.Check(now) {
		for _, n := range l.nics {
			n.noteForwarding() // the setting may have changed
		}
		if l.kernel.bind {
			l.kernel.checkOwned(l.machines.sorted(), l.nics)
		}
	}
}

// recoverLost handles skipped sightings: a reader that skipped the frame of a machine has
// stopped answering for its address already.
func (l *loop) recoverLost(n *nic) {
	lost := n.reader.Lost()
	if lost == n.skippedBefore {
		return
	}
	l.log.Warn("event queue full, frames skipped", "event", "overrun", "interface", n.name, "lost", lost-n.skippedBefore)
	n.skippedBefore = lost
	for _, e := range l.machines.on(n) {
		l.recover(e)
	}
}

// recover treats a machine as heard from an address for which its reader has stopped
// answering, if there is one.
func (l *loop) recover(e *entry) {
	if ip, silent := e.target.Silent(e.Answered()); silent {
		l.dispatch(e, machine.Heard{Addr: ip, Sign: machine.Tests})
	}
}

// next returns when tick is due, or the zero time.
func (l *loop) next() (next time.Time) {
	moments := []time.Time{l.timers.Next(), l.checks.Next(), l.kernel.guard.Next()}
	for _, n := range l.nics {
		moments = append(moments, n.announcer.Next(), n.corrections.next(), n.pins.Next(), n.inspectAt, n.reannounceAt)
	}
	for _, at := range moments {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// releaseAll releases all claims. The second announcement, a second later, is for neighbors
// that missed the first.
func (l *loop) releaseAll() {
	l.drain() // an address that its machine tests must not be announced
	held := false
	for _, e := range l.machines.named {
		held = held || len(e.Claimed()) > 0
		l.dispatch(e, machine.Stopped{Wake: l.conf.Wake.OnExit == config.OnExitAll})
	}
	if !held {
		return
	}
	l.waitForLastAnnouncement(lastAnnouncement)
	for _, n := range l.nics {
		n.announcer.Run(time.Now())
	}
	l.log.Info("all claims released", "event", "released")
}

// lastAnnouncement is when the last announcement goes out; the porter has 2 s to stop.
const lastAnnouncement = 1010 * time.Millisecond

// waitForLastAnnouncement waits, and cancels the announcement of each address that its
// machine tests meanwhile: the machine may have been woken a moment ago.
func (l *loop) waitForLastAnnouncement(d time.Duration) {
	for end := time.After(d); ; {
		select {
		case s := <-l.sightings:
			s.Taken()
			if e := l.machines.byMAC[s.Target.MAC]; s.Kind == fastpath.SawTest && e != nil && e.nic != nil {
				e.nic.announcer.Cancel(s.Address.IP())
			}
		case <-end:
			return
		}
	}
}
