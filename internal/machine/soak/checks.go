package soak

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/machine"
)

// event notes what an event permits.
func (c *checker) event(e machine.Event) {
	c.note(c.q.now, e)
	switch e.(type) {
	case machine.WakeRequested:
		c.requested++
	case machine.Stopped:
		c.packets = 0 // it may send a last one
	case machine.Registered:
		c.awakeAndDeaf = false
		c.restartDeadline()
	case machine.ProbeFailed, machine.Configured:
		c.restartDeadline()
	}
}

// action follows one action, as the LAN sees it.
func (c *checker) action(a machine.Action) {
	c.note(c.q.now, a)
	c.pausedAction(a)
	c.addressAction(a)
	switch a := a.(type) {
	case machine.Moved:
		if a.To != machine.Asleep {
			c.reason = a.Why
		}
	case machine.WakeBegan:
		c.packets = 0
	case machine.SendMagic:
		if c.requested > 0 && c.m.State() != machine.Waking {
			c.requested--
		} else if c.packets++; c.packets > c.maxPackets() {
			c.wrong("%d magic packets in one wake", c.packets)
		}
	case machine.Forget:
		if len(c.held) > 0 || len(c.kept) > 0 {
			c.wrong("forgotten with %v claimed and %v kept", c.held, c.kept)
		}
	}
}

// pausedAction fails if the porter claims, probes or wakes a paused machine.
func (c *checker) pausedAction(a machine.Action) {
	if c.m.PausedUntil().IsZero() {
		return
	}
	switch a.(type) {
	case machine.Claim, machine.Probe, machine.Recheck, machine.SendMagic, machine.WakeBegan:
		c.wrong("%T%+v while it is paused", a, a)
	}
}

// maxPackets is how many magic packets a wake may take: the first round has 15, and after
// the last round they continue while a client retries.
func (c *checker) maxPackets() int {
	p := &c.policy
	return 15 + max(p.WakeAttempts, int(p.WakeTimeout/p.WakeInterval)+1)
}

// handled compares the actions so far with the state of the machine, after an event that
// caused actions other than probes (acted) or was a tick (ticked).
func (c *checker) handled(ticked, acted bool) {
	if c.tickAt != c.q.now {
		c.tickAt, c.ticks = c.q.now, 0
	}
	if next := c.m.Next(); ticked && !next.IsZero() && !next.After(c.q.now) {
		if c.ticks++; c.ticks > 3 {
			c.wrong("%d ticks at one time while %v", c.ticks, c.m.State())
		}
	}
	if !acted {
		return
	}
	if until := c.m.PausedUntil(); !until.IsZero() && (len(c.held) > 0 || c.m.State() != machine.Awake || c.m.Next().After(until)) {
		c.wrong("paused until %v: claimed %v, %v, next tick at %v", until, c.held, c.m.State(), c.m.Next())
	}
	c.checkTotals()
	var held, answered []netip.Addr
	for _, ip := range registered {
		answers, ok := c.held[ip]
		if ok {
			held = append(held, ip)
		}
		if answers {
			answered = append(answered, ip)
		}
	}
	if !slices.Equal(held, c.m.Claimed()) || !slices.Equal(answered, c.m.Answered()) {
		c.wrong("claimed %v, answered for %v; the machine says %v, %v", held, answered, c.m.Claimed(), c.m.Answered())
	}
}

// receptionLost notes that the porter may have missed frames, and that silence proves
// nothing until a later time.
func (c *checker) receptionLost(until time.Time) {
	c.deafUntil = until
	c.restartDeadline()
	c.awakeAndDeaf = c.m != nil && c.m.State() == machine.Awake
}

// disturb notes that no frame reaches the porter until a later time.
func (c *checker) disturb(until time.Time) {
	c.disturbed = until
	c.restartDeadline()
}

// crashed forgets what the porter did, and its totals if its last record was lost.
func (c *checker) crashed(lostTail bool) {
	for ip := range c.announcing {
		c.stopAnnouncing(ip)
	}
	c.reset()
	if lostTail {
		c.forgetTotals()
	}
	c.packets, c.requested = 0, 0
	c.note(c.q.now, fmt.Sprintf("the porter has ended, lost tail %t", lostTail))
}

// stopped fails if a porter that stopped left a claim.
func (c *checker) stopped(hold machine.HoldMode) {
	if len(c.held) > 0 || len(c.kept) > 0 || hold != machine.Ignore {
		c.wrong("stopped with %v claimed, %v kept, hold %v", c.held, c.kept, hold)
	}
}
