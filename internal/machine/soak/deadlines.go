package soak

import (
	"slices"
	"time"

	"nightporter/internal/machine"
)

const (
	// unclaimedFor bounds how long a machine that is off may be without a claim.
	unclaimedFor = 20 * time.Second

	// testedFor is how much longer forged probes for its addresses may delay the claim:
	// as long as a test lasts (RFC 5227 section 1.1), and the pause after it.
	testedFor = 14 * time.Second

	// overlapFor bounds how long the porter may answer for a machine that is up, counted
	// from its first frame: the time that probes take.
	overlapFor = 4 * time.Second
)

// heardHonest records a frame of the host itself that the porter received.
func (c *checker) heardHonest(e machine.Heard) {
	if e.Sign == machine.Tests {
		if c.q.now.Sub(c.heardTest[e.Addr]) > 2900*time.Millisecond {
			c.firstTest[e.Addr] = c.q.now // or one in between was lost
		}
		c.heardTest[e.Addr] = c.q.now
		if c.held[e.Addr] {
			c.wrong("the porter answers for %v while its host tests it", e.Addr)
		}
	}
	if e.Sign == machine.Uses {
		c.heardUse[e.Addr] = c.q.now
	}
	if !c.overlapRunning && c.bothAnswer() {
		c.overlapRunning = true
		c.startOverlap()
	}
}

// bothAnswer reports whether the porter answers for an address that the host uses. If the
// network card answers while the machine sleeps, only TCP proves that the machine is up.
func (c *checker) bothAnswer() bool {
	if c.m != nil && c.m.NICAnswers() && c.host.use[ip4] != used {
		return false
	}
	for ip, answered := range c.held {
		if answered && c.host.use[ip] != unused {
			return true
		}
	}
	return false
}

func (c *checker) startOverlap() {
	from := c.q.now
	c.overlap.set(c.q, from.Add(overlapFor), func() {
		if slices.ContainsFunc(c.probes, func(p *sentProbe) bool { return p.lost && !p.at.Before(from) }) {
			c.startOverlap() // the porter probed and received no answer
			return
		}
		c.wrong("the porter still answers %v after it received a frame of the host", overlapFor)
	})
}

// restartDeadline gives the porter the full time again to claim a machine that is off.
func (c *checker) restartDeadline() {
	if c.unclaimedRunning {
		c.unclaimed.stop()
		c.unclaimedRunning = false
		c.review()
	}
}

// review starts and stops the deadlines by who answers now.
func (c *checker) review() {
	if !c.bothAnswer() && c.overlapRunning {
		c.overlapRunning = false
		c.overlap.stop()
	}
	switch missing := c.claimMissing(); {
	case missing && !c.unclaimedRunning:
		c.unclaimedRunning = true
		from := c.q.now
		if c.deafUntil.After(from) {
			from = c.deafUntil
		}
		c.unclaimed.set(c.q, from.Add(unclaimedFor), func() { c.overdue(from) })
	case !missing && c.unclaimedRunning:
		c.unclaimedRunning = false
		c.unclaimed.stop()
	}
}

// overdue fails, or extends the deadline if forged probes delayed the claim.
func (c *checker) overdue(from time.Time) {
	if c.q.now.Sub(from) < unclaimedFor+testedFor && c.forged.Add(unclaimedFor+testedFor).After(c.q.now) {
		c.unclaimed.set(c.q, from.Add(unclaimedFor+testedFor), func() { c.overdue(from) })
		return
	}
	c.wrong("off since %v, and not claimed for %v: %v", c.host.since.Format(time.TimeOnly), c.q.now.Sub(from), c.m.State())
}

// claimMissing reports whether the host is off and the porter does not answer for an
// address that it could claim.
func (c *checker) claimMissing() bool {
	if c.m == nil || c.cut || !c.m.PausedUntil().IsZero() || c.host.power != off || !c.m.HasRegistered() && !c.agentless {
		return false
	}
	if c.host.nicReplies && !c.m.NICAnswers() || c.unwatched && !c.agentless && c.m.State() == machine.Awake {
		return false
	}
	for _, ip := range registered {
		answered, held := c.held[ip]
		if !held && c.m.State() == machine.Waking {
			continue // its network came up during the wake: the claim follows after the wake
		}
		if !c.isUnplaced(ip) && !c.m.Conceded(ip) && !answered {
			return true
		}
	}
	return false
}
