package soak

import (
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/machine"
)

// addressAction follows an action that changes who answers for an address.
func (c *checker) addressAction(a machine.Action) {
	switch a := a.(type) {
	case machine.Claim:
		for _, ip := range a.Addrs {
			c.claim(ip)
			if a.Quiet {
				c.stopAnnouncing(ip)
			} else {
				c.announce(ip, a.AnnounceAfter)
			}
		}
	case machine.Yield:
		for _, ip := range a.Addrs {
			if !c.held[ip] {
				c.wrong("%v is yielded, but the porter did not answer for it", ip)
			}
			c.held[ip] = false
			c.stopAnnouncing(ip)
		}
	case machine.Release:
		for _, ip := range a.Addrs {
			if _, held := c.held[ip]; !held {
				c.wrong("%v is released, but was not claimed", ip)
			}
			delete(c.held, ip)
			c.kept[ip] = true
			c.stopAnnouncing(ip)
		}
	case machine.EndClaim:
		for _, ip := range a.Addrs {
			if _, held := c.held[ip]; held || !c.kept[ip] {
				c.wrong("the claim of %v ends, held %t, kept %t", ip, held, c.kept[ip])
			}
			delete(c.kept, ip)
			c.stopAnnouncing(ip)
		}
	case machine.Announce:
		for _, ip := range a.Addrs {
			c.announce(ip, 0)
		}
	case machine.StopAnnouncing:
		for _, ip := range a.Addrs {
			c.stopAnnouncing(ip)
		}
	}
}

// claim fails if the host uses or tests the address, unless too many probes or answers
// were lost.
func (c *checker) claim(ip netip.Addr) {
	if c.rivals[ip] && c.m.Conceded(ip) {
		c.wrong("%v is claimed, but was conceded to another host", ip)
	}
	switch c.host.use[ip] {
	case probing:
		if at := c.heardTest[ip]; !c.held[ip] && c.q.now.Sub(at) < 2900*time.Millisecond && c.q.now.Sub(c.firstTest[ip]) < 10*time.Second {
			c.wrong("%v is claimed %v after the porter received a probe of its host", ip, c.q.now.Sub(at))
		}
	case used:
		c.claimUsed(ip)
		c.overlap.stop() // until the next frame of the host
		c.overlapRunning = false
	}
	delete(c.kept, ip)
	c.held[ip] = true
}

// claimUsed fails if the porter could know that the host uses the address.
func (c *checker) claimUsed(ip netip.Addr) {
	misses := c.policy.ProbeMisses
	switch c.reason {
	case machine.WhyUnanswered:
		misses *= 2
	case machine.WhyFlap:
		misses = 2
	}
	last := c.probes[max(0, len(c.probes)-misses):]
	if slices.ContainsFunc(last, func(p *sentProbe) bool { return p.answered }) {
		c.wrong("%v is claimed, but its host has just answered", ip)
	}
	lostSince := func(p *sentProbe) bool { return p.lost && !p.at.Before(c.heardUse[ip]) }
	if c.heardUse[ip].After(c.host.since) && !c.m.NICAnswers() && !c.isUnplaced(ip) && !slices.ContainsFunc(last, lostSince) {
		c.wrong("%v is claimed, but its host was not probed since it used the address", ip)
	}
	if c.awakeAndDeaf && c.q.now.Before(c.deafUntil) {
		c.wrong("%v is claimed, but the porter could not receive", ip)
	}
}

// announce follows the announcements 0, 1, 3 and 7 s after a change, which fail if the host
// tests the address.
func (c *checker) announce(ip netip.Addr, after time.Duration) {
	t := c.announcing[ip]
	if t == nil {
		t = new(timer)
		c.announcing[ip] = t
	}
	from := c.q.now.Add(after)
	var send func(n int)
	send = func(n int) {
		heard := c.heardTest[ip]
		if c.host.use[ip] == probing && (c.loss == 0 && c.q.now.Sub(c.disturbed) > 15*time.Second || c.q.now.Sub(heard) < 2900*time.Millisecond) {
			c.wrong("%v is announced while its host tests it, last probe %v ago", ip, c.q.now.Sub(heard))
		}
		if n++; n < 4 {
			t.set(c.q, from.Add([]time.Duration{0, 1, 3, 7}[n]*time.Second), func() { send(n) })
		}
	}
	if after > 0 {
		t.set(c.q, from, func() { send(0) })
	} else {
		send(0) // before the next action
	}
}

func (c *checker) stopAnnouncing(ip netip.Addr) {
	if t := c.announcing[ip]; t != nil {
		t.stop()
	}
}
