package porter

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"nightporter/internal/config"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// tell gives a machine an event, and does what follows from it.
func (p *Porter) tell(r *resident, e machine.Event) {
	now := time.Now()
	before := r.attention()
	actions := r.Handle(now, e)
	var magicErr error
	for _, a := range actions {
		// Before all else, and before a line of log: somebody waits for it.
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
	p.usher(now, r)
	p.note(r, actions)
	p.doChores()
	if r.attention() != before {
		r.nic.stale = true
	}
	if p.byMAC[r.Spec().MAC] == r && r.nic != nil { // it was not forgotten, and can be asked
		p.timers.Set(r, r.Next())
	}
	r.knockedAt = time.Time{} // held off: what follows is not our latency
}

// later puts off what the kernel may take its time for (its lock on all network
// settings is held for long by others) until nobody waits for it.
func (p *Porter) later(chore func()) { p.chores = append(p.chores, chore) }

func (p *Porter) doChores() {
	for _, chore := range p.chores {
		chore()
	}
	p.chores = p.chores[:0]
}

// do carries out one action.
func (p *Porter) do(now time.Time, r *resident, a machine.Action) {
	switch a := a.(type) {
	case machine.Claim:
		p.claim(now, r, a)
	case machine.Yield:
		p.yield(r)
	case machine.Release:
		p.release(r, a.Addrs)
	case machine.Part:
		p.later(func() {
			p.letHostAsk(r, a.Addrs)
			p.guard.Release(a.Addrs) // the kernel does not own them any more
		})
	case machine.Announce:
		mac := r.watch.mac
		p.later(func() { p.guideHost(r.nic, a.Addrs, mac) })
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

// claim takes addresses. What the kernel has to be told before can take long; a
// machine that has spoken meanwhile tests its addresses perhaps, and must not hear
// of us. What it said is on its way here.
func (p *Porter) claim(now time.Time, r *resident, c machine.Claim) {
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
// wrong as an answer: the machine may be testing whether somebody uses them. The
// guard stays, for clients that have not heard of the machine yet.
func (p *Porter) yield(r *resident) {
	spec := r.Spec()
	r.watch.silence(spec.Addrs())
	claimed := r.Claimed() // one that was left to another host may be announced for that
	for _, ip := range claimed {
		r.nic.announcer.Cancel(ip)
	}
	p.later(func() { p.disown(r, claimed) })
}

// release ends what we say about the addresses. The guard stays until nobody
// sends us packets for them: they would reach the machine twice where our host
// forwards too.
func (p *Porter) release(r *resident, addrs []netip.Addr) {
	r.watch.silence(addrs)
	for _, ip := range addrs {
		r.nic.announcer.Cancel(ip)
	}
	p.later(func() {
		p.disown(r, addrs)
		r.leaveGroups(p.log, addrs)
	})
}

// sendMagic sends one round of magic packets, and tells how long the knock
// waited for the first of them.
func (p *Porter) sendMagic(r *resident) (failed error) {
	for _, n := range p.nicsOf(r) {
		for _, frame := range n.magicFrames(r.Spec(), p.conf.Wake.Transports) {
			if err := n.Send(frame); err != nil {
				failed = err
			}
			if !r.knockedAt.IsZero() {
				if d := time.Since(r.knockedAt); d < time.Minute { // else the clock of the kernel's times was set
					p.metrics.WakeLatency(d)
				}
				r.knockedAt = time.Time{}
			}
		}
	}
	return failed
}

func (p *Porter) logMagic(r *resident, attempt int, err error) {
	if err != nil {
		p.log.Warn("magic packet not sent", "machine", r, "attempt", attempt, "err", err)
		return
	}
	p.log.Debug("magic packet sent", "machine", r, "attempt", attempt)
}

// nicsOf returns where a machine lives. One that the configuration knows and
// that has not registered yet may live anywhere.
func (p *Porter) nicsOf(r *resident) []*nic {
	if r.nic != nil {
		return []*nic{r.nic}
	}
	return p.nics
}

// magicFrames returns one round of magic packets: broadcast first, it needs no
// switch to remember the port, then unicast, which reaches a Wi-Fi host that
// missed a group key, then UDP for NICs and relays that know only that.
func (n *nic) magicFrames(spec machine.Spec, transports []string) [][]byte {
	var frames [][]byte
	for _, transport := range transports {
		switch transport {
		case config.TransportEthernet:
			frames = append(frames,
				lan.MagicFrame(n.MAC(), machine.Broadcast, spec.MAC, spec.Password),
				lan.MagicFrame(n.MAC(), spec.MAC, spec.MAC, spec.Password))
		case config.TransportUDP:
			if from, ok := n.magicSource(); ok {
				frames = append(frames, lan.MagicUDPFrame(n.MAC(), from, spec.MAC, spec.Password))
			}
		}
	}
	return frames
}

// magicSource returns the address magic datagrams come from, IPv4 if there is
// one: NICs that look into UDP know it best.
func (n *nic) magicSource() (netip.Addr, bool) {
	own := n.own()
	for _, ip := range own {
		if ip.Is4() {
			return ip, true
		}
	}
	if len(own) == 0 {
		return netip.Addr{}, false
	}
	return own[0], true
}

// tellWake counts what a wake came to, and returns what the log line says.
func (p *Porter) tellWake(r *resident, a machine.Action) []slog.Attr {
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

func (p *Porter) logMove(r *resident, m machine.Moved, about []slog.Attr) {
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
