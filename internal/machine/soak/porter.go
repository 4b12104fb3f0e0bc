package soak

import (
	"slices"
	"time"

	"nightporter/internal/machine"
)

// porter passes events to package machine and carries out the actions.
type porter struct {
	*lan
	checks *checker

	stopped bool      // it stopped in good order
	stalled time.Time // it handles no event before

	tick        timer
	attention   machine.Attention
	hold        machine.HoldMode
	checksReady bool           // it waits until the services are ready
	memory      machine.Memory // the last record
	earlier     machine.Memory // the record before, for a crash that loses the last
}

// newPorter returns the porter of one LAN. A failed check calls fail.
func newPorter(q *queue, seed uint64, fail func(string, ...any)) *porter {
	l := newLAN(q, seed)
	p := &porter{lan: l, checks: newChecker(l, fail)}
	l.host.send = func(e machine.Heard) { p.hear(e, true) }
	l.host.changed = p.checks.review
	l.host.onReady = p.reportReady
	return p
}

// begin starts the porter with a machine that is up.
func (p *porter) begin() {
	p.host.beUp()
	s := spec()
	s.Agentless = p.agentless
	p.m = machine.New(s, p.policy, p.q.now)
	p.memory = p.m.Memory()
	p.earlier = p.memory
	p.configure()
}

func (p *porter) configure() {
	p.handle(machine.Configured{Agentless: p.agentless, Unwatched: p.unwatched, Permanent: true})
}

// hear handles a frame, unless it is lost or the porter does not observe its kind. An honest
// frame is the host's own.
func (p *porter) hear(e machine.Heard, honest bool) {
	switch {
	case p.m == nil || p.cut || p.q.now.Before(p.closed) || p.lost():
	case p.attention == machine.ObserveNothing, p.attention == machine.ObserveNeighbor && e.Sign == machine.Data:
	default:
		p.handleThen(e, func() {
			if honest {
				p.checks.heardHonest(e)
			}
		})
	}
}

// handle handles an event: its actions, the checks and the timer.
func (p *porter) handle(e machine.Event) { p.handleThen(e, func() {}) }

// handleThen is handle, and calls then before the last check.
func (p *porter) handleThen(e machine.Event, then func()) {
	if p.m == nil || p.stopped {
		return
	}
	if p.q.now.Before(p.stalled) {
		current := p.m
		p.q.at(p.stalled, func() {
			if p.m == current {
				p.handleThen(e, then)
			}
		})
		return
	}
	_, ticked := e.(machine.Ticked)
	_, stops := e.(machine.Stopped)
	actions := p.m.Handle(p.q.now, e)
	p.checks.event(e)
	for i, a := range actions {
		p.do(a)
		if _, ok := a.(machine.Persist); ok && i != len(actions)-1 {
			p.checks.wrong("%v: Persist is action %d of %d", e, i, len(actions))
		}
	}
	if slices.ContainsFunc(actions, func(a machine.Action) bool { _, ok := a.(machine.Forget); return ok }) {
		p.m = nil
		p.tick.stop()
		p.checks.review()
		return
	}
	p.checks.handled(ticked, slices.ContainsFunc(actions, isNoProbe))
	if stops {
		return
	}
	p.setTick()
	then()
	p.checks.review()
}

// isNoProbe reports whether an action is other than a probe.
func isNoProbe(a machine.Action) bool {
	_, probe := a.(machine.Probe)
	return !probe
}

// setTick sets the timer. On a busy host it is up to 20 ms late.
func (p *porter) setTick() {
	due := p.m.Next()
	if due.IsZero() {
		p.tick.stop()
		return
	}
	if due.Before(p.q.now) {
		due = p.q.now
	}
	late := time.Duration(p.rand.Int64N(int64(20 * time.Millisecond)))
	p.tick.set(p.q, due.Add(late), func() { p.handle(machine.Ticked{}) })
}

// do carries out one action.
func (p *porter) do(a machine.Action) {
	p.checks.action(a)
	switch a := a.(type) {
	case machine.Observe:
		p.attention = a.Attention
	case machine.Hold:
		p.hold = a.Mode
	case machine.Probe:
		p.probe(a)
	case machine.Recheck:
		switch {
		case p.cut:
			p.q.after(0, func() { p.handle(machine.RecheckFailed(a)) })
		case p.rivals[a.Addr]:
			p.q.after(time.Millisecond, func() { p.handle(machine.Conflicted{Addr: a.Addr, By: rivalMAC}) })
		}
	case machine.SendMagic:
		if p.host.power == off && !p.host.ignoresMagic && !p.cut && !p.lost() {
			p.host.start(p.host.bootTime)
		}
	case machine.CheckServices:
		p.checksReady = true
		p.reportReady()
	case machine.Persist:
		p.earlier, p.memory = p.memory, p.m.Memory()
	}
}

// reportReady reports the services as ready if they are and the porter waits for that.
func (p *porter) reportReady() {
	if p.m == nil || !p.checksReady || !p.host.servicesReady {
		return
	}
	p.checksReady = false
	p.q.after(5*time.Millisecond, func() { p.handle(machine.ServicesReady{All: true}) })
}

// probe sends a probe. The probe and each answer may be lost.
func (p *porter) probe(a machine.Probe) {
	if p.cut {
		p.q.after(0, func() { p.handle(machine.ProbeFailed{}) })
		return
	}
	sent := p.checks.addProbe(p.q.now)
	if p.dropProbes > 0 || p.q.now.Before(p.closed) {
		p.dropProbes = max(0, p.dropProbes-1)
		sent.lost = true
		return
	}
	for _, ip := range a.Addrs {
		if a.Broadcast && p.rivals[ip] {
			p.q.after(time.Millisecond, func() { p.handle(machine.Conflicted{Addr: ip, By: rivalMAC}) })
		}
		for _, proof := range p.host.answers(ip, a.System) {
			if p.lostTwice() {
				sent.lost = true
				continue
			}
			if p.host.power == up && proof >= p.m.NeededProof() {
				sent.answered = true
			}
			p.q.after(time.Millisecond, func() { p.handle(machine.Answered{Addr: ip, Proof: proof}) })
		}
	}
}

// loseReception means that the porter may have missed frames.
func (p *porter) loseReception() {
	until := p.q.now.Add(30 * time.Second)
	p.checks.receptionLost(until)
	p.handle(machine.ReceptionLost{Until: until})
}
