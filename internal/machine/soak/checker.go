package soak

import (
	"fmt"
	"time"

	"nightporter/internal/machine"
)

// checker compares what the porter does with what the host does.
type checker struct {
	*lan
	bystander
	fail func(format string, args ...any) // ends the test

	reason    machine.Reason // of the last transition to another state than Asleep
	deafUntil time.Time      // until then silence of the host proves nothing
	disturbed time.Time      // when frames were last kept from the porter
	forged    time.Time      // the last forged probe

	unclaimed        timer // ends when a host that is off has to be claimed
	unclaimedRunning bool
	overlap          timer // ends when the porter has to stop answering for a host that is up
	overlapRunning   bool

	packets   int // magic packets of this wake
	requested int // magic packets that requests permit outside of a wake
	ticks     int // in a row at one time
	tickAt    time.Time
	shown     machine.Status // the status of before
	slept     time.Duration  // the sleep time of before
}

func newChecker(l *lan, fail func(string, ...any)) *checker {
	c := &checker{lan: l, fail: fail}
	c.reset()
	return c
}

// reset forgets what belongs to a porter that has ended.
func (c *checker) reset() {
	c.bystander.reset()
	c.unclaimed.stop()
	c.overlap.stop()
	c.unclaimedRunning, c.overlapRunning = false, false
}

// wrong ends the test with a message and the history.
func (c *checker) wrong(format string, args ...any) {
	c.fail("%s: %s%s", c.q.now.Format("02T15:04:05.000"), fmt.Sprintf(format, args...), c.lines())
}
