package porter

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"nightporter/internal/machine"
)

// tell gives a machine an event, and carries out what follows from it.
func (p *Porter) tell(r *entry, e machine.Event) {
	now := time.Now()
	before := r.attention()
	actions := r.Handle(now, e)
	var magicErr error
	for _, a := range actions {
		// Before all else, and before a line of log: a client waits for it.
		if _, ok := a.(machine.SendMagic); ok {
			magicErr = p.sendMagic(r)
		}
	}
	var about []slog.Attr // goes with the next transition's line
	for _, a := range actions {
		switch a := a.(type) {
		case machine.WakeBegan, machine.WakeEnded, machine.WakeFailed:
			about = append(about, p.tellWake(r, a)...)
		case machine.Moved:
			p.logMove(r, a, about)
			about = nil
		case machine.SendMagic:
			p.logMagic(r, a.Attempt, magicErr)
		default:
			p.do(now, r, a)
		}
	}
	p.await(r)
	r.discount()
	p.syncHold(now, r)
	p.note(r, actions)
	p.runDeferred()
	if r.attention() != before {
		r.nic.stale = true
	}
	if p.byMAC[r.Spec().MAC] == r && r.nic != nil { // it was not forgotten, and can be asked
		p.timers.Set(r, r.Next())
	}
	r.knockedAt = time.Time{} // held off: what follows is not our latency
}

// deferUntilServed puts off what the kernel may take its time for (its lock on all
// network settings is held for long by others) until no client waits for it.
func (p *Porter) deferUntilServed(f func()) { p.deferred = append(p.deferred, f) }

func (p *Porter) runDeferred() {
	for _, f := range p.deferred {
		f()
	}
	p.deferred = p.deferred[:0]
}

// do carries out one action.
func (p *Porter) do(now time.Time, r *entry, a machine.Action) {
	switch a := a.(type) {
	case machine.Claim:
		p.claim(now, r, a)
	case machine.Yield:
		p.yield(r)
	case machine.Release:
		p.release(r, a.Addrs)
	case machine.Part:
		p.deferUntilServed(func() {
			p.letHostAsk(r, a.Addrs)
			p.guard.Release(a.Addrs) // the kernel does not own them any more
		})
	case machine.Announce:
		mac := r.watch.mac
		p.deferUntilServed(func() { p.guideHost(r.nic, a.Addrs, mac) })
		for _, ip := range a.Addrs {
			r.nic.announcer.Announce(now, ip, r.watch.mac)
		}
	case machine.Hush:
		for _, ip := range a.Addrs {
			r.nic.announcer.Cancel(ip)
		}
	case machine.Probe:
		p.probe(r, a)
	case machine.Question:
		p.interrogate(r, a.Addrs)
	case machine.HandOver:
		r.expect(now, a.Services)
		p.pin(r) // it may have announced itself with its first frame
	case machine.ConflictSeen:
		p.concede(r, a)
	case machine.ConflictOver:
		p.reclaim(r, a.Addr)
	case machine.Ask:
		p.ask(r, a.Addr)
	case machine.Forget:
		p.forget(r, "wake failed and wake.keep is false")
	}
}

// claim takes addresses. What the kernel has to do before can take long; a machine
// that has spoken meanwhile tests its addresses perhaps, and must not hear of us.
// What it said is on its way here.
func (p *Porter) claim(now time.Time, r *entry, c machine.Claim) {
	spec := r.Spec()
	p.guard.Hold(c.Addrs) // before the first packet can come to us
	p.own(r, c.Addrs)
	r.discount() // before the first answer of its network card would silence us
	r.watch.answerFor(c.Addrs)
	spoke := r.watch.spoke()
	if spoke {
		r.watch.silence(spec.Addrs())
	}
	for _, ip := range c.Addrs {
		if ip.Is6() {
			if err := r.nic.link.Load().JoinSolicitedNode(ip); err != nil {
				p.log.Warn("cannot join the solicited-node group: a switch with MLD snooping may hide solicitations from us",
					"machine", r, "ip", ip, "err", err)
			} else {
				r.joined = append(r.joined, ip)
			}
		}
		switch {
		case spoke:
		case c.Unsaid > 0:
			r.nic.announcer.AnnounceFrom(now.Add(c.Unsaid), ip, r.nic.MAC())
		default:
			r.nic.announcer.Announce(now, ip, r.nic.MAC())
		}
	}
}

// yield falls silent about the machine's addresses. An announcement would be as
// wrong as an answer: the machine may be testing whether another host uses them. The
// guard stays, for clients that have not heard of the machine yet.
func (p *Porter) yield(r *entry) {
	spec := r.Spec()
	r.watch.silence(spec.Addrs())
	claimed := r.Claimed() // one that was left to another host may be announced for that
	for _, ip := range claimed {
		r.nic.announcer.Cancel(ip)
	}
	p.deferUntilServed(func() { p.disown(r, claimed) })
}

// release ends what we say about the addresses. The guard stays until no client
// sends us packets for them: they would reach the machine twice where our host
// forwards too.
func (p *Porter) release(r *entry, addrs []netip.Addr) {
	r.watch.silence(addrs)
	for _, ip := range addrs {
		r.nic.announcer.Cancel(ip)
	}
	p.deferUntilServed(func() {
		p.disown(r, addrs)
		r.leaveGroups(p.log, addrs)
	})
}

// tellWake counts what a wake came to, and returns what the log line says.
func (p *Porter) tellWake(r *entry, a machine.Action) []slog.Attr {
	switch a := a.(type) {
	case machine.WakeBegan:
		if a.Service.Addr.IsValid() {
			return []slog.Attr{slog.String("knock", knock(a.Source, a.Service))}
		}
		return []slog.Attr{slog.String("trigger", a.Trigger.String()), slog.String("by", a.By)}
	case machine.WakeEnded:
		p.metrics.Booted(r.name(), a.Boot)
		boot := slog.Duration("boot", round(a.Boot))
		if a.Unready {
			return []slog.Attr{boot}
		}
		p.metrics.Ready(r.name(), a.Ready)
		return []slog.Attr{boot, slog.Duration("ready", round(a.Ready))}
	case machine.WakeFailed:
		r.hold.Drop()
		return []slog.Attr{slog.String("trigger", a.Trigger.String()), slog.Int("attempts", a.Attempts)}
	}
	return nil
}

// knock says who knocked where. An echo request comes from no port.
func knock(from netip.AddrPort, at machine.Service) string {
	source := from.String()
	if at.Protocol == machine.ICMP {
		source = from.Addr().String()
	}
	return source + " -> " + at.String()
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

func (p *Porter) logMove(r *entry, m machine.Moved, about []slog.Attr) {
	level := slog.LevelInfo
	if m.Why == machine.WhyNeverSilent || m.Why == machine.WhyAttemptsGone || m.Why == machine.WhyNotReady {
		level = slog.LevelWarn
	}
	if m.Why == machine.WhyOnlyCard && m.To == machine.Awake {
		level, about = slog.LevelWarn, append(about, slog.String("remedy", offloadRemedy))
	}
	attrs := append([]slog.Attr{
		slog.Any("machine", r), slog.String("from", m.From.String()), slog.String("to", m.To.String()),
		slog.String("reason", string(m.Why)), slog.Duration("after", round(m.After)),
	}, about...)
	p.log.LogAttrs(context.Background(), level, "machine "+m.To.String(), attrs...)
}
