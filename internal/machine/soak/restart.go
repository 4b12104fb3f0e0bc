package soak

import (
	"time"

	"nightporter/internal/machine"
)

// stop ends the porter in good order, which leaves no claim.
func (p *porter) stop(wake bool) {
	if p.m == nil {
		return
	}
	p.stalled = time.Time{}
	p.handle(machine.Stopped{Wake: wake})
	p.stopped = true
	p.q.run(p.q.now)
	p.checks.stopped(p.hold)
	p.tick.stop()
}

// restart stops the porter in good order and starts it again after a time.
func (p *porter) restart(after time.Duration) {
	if p.m == nil {
		return
	}
	p.stop(false)
	p.memory = p.m.Memory()
	p.crash(after, false)
}

// crash ends the porter without a last event. It starts again after a time with the last
// record, or with the one before if the last was lost.
func (p *porter) crash(after time.Duration, lostTail bool) {
	if p.m == nil {
		return
	}
	memory, until := p.memory, p.q.now
	if lostTail {
		memory = p.earlier
		p.memory = memory
	}
	p.checks.crashed(lostTail)
	p.m, p.stalled, p.stopped = nil, time.Time{}, false
	p.tick.stop()
	p.checksReady = false
	p.q.after(after, func() { p.resume(memory, until) })
}

// resume starts the porter with a record of before. In one of four cases its switch port
// forwards nothing at first, as with spanning tree.
func (p *porter) resume(memory machine.Memory, until time.Time) {
	p.m = machine.Restore(memory, p.policy, until, p.q.now)
	p.attention, p.hold = machine.ObserveNothing, machine.Ignore
	p.checks.checkTotals()
	if len(p.unplaced) > 0 {
		p.handle(machine.Placed{Places: p.unplaced})
	}
	p.configure()
	p.loseReception()
	if p.rand.IntN(4) == 0 {
		p.closed = p.q.now.Add(between(p.rand, time.Second, 25*time.Second))
		p.checks.disturbed = p.closed
	}
}

// stall keeps the porter from handling events for a time. They wait.
func (p *porter) stall(d time.Duration) {
	p.stalled = p.q.now.Add(d)
	p.checks.disturb(p.stalled)
}
