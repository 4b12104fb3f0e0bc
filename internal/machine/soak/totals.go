package soak

import "nightporter/internal/machine"

// checkTotals fails if a total is less than before, also after a restart.
func (c *checker) checkTotals() {
	s := c.m.Status()
	slept, before, after := s.Slept(c.q.now), &c.shown.Tally, &s.Tally
	switch {
	case slept < c.slept, after.SavedJoules < before.SavedJoules && slept < c.slept:
		c.wrong("slept %v, and %v before", slept, c.slept)
	case after.ExternalStarts < before.ExternalStarts, after.Conflicts < before.Conflicts, after.SettleTimeouts < before.SettleTimeouts:
		c.wrong("totals %+v after %+v", after, before)
	}
	for i := range after.Wakes {
		if after.Wakes[i] < before.Wakes[i] || after.Failures[i] < before.Failures[i] {
			c.wrong("totals %+v after %+v", after, before)
		}
	}
	for _, k := range c.shown.Knocks {
		if s.Knocks.Of(k.Port) < k.Count {
			c.wrong("knocks %v after %v", s.Knocks, c.shown.Knocks)
		}
	}
	c.shown, c.slept = s, slept
}

// forgetTotals allows totals to restart: the last record was lost.
func (c *checker) forgetTotals() { c.shown, c.slept = machine.Status{}, 0 }
