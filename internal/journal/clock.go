package journal

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nightporter/internal/machine"
)

// longestGap is the longest time between two starts of the host that its clock on
// the wall is believed. A host without a clock of its own starts in the past until
// it has asked for the time, and a sleep of years in a counter is a lie that
// nobody can take back.
const longestGap = 7 * 24 * time.Hour

// century bounds what is read, so that no sum overflows.
const century = 100 * 365 * 24 * time.Hour

// stamp is one moment on two clocks. The one on the wall can be set at any time;
// the other only counts, but from a new beginning with each start of the host.
type stamp struct {
	wall time.Time
	boot string        // which start of the host; empty: not known
	up   time.Duration // since that start
}

// clock returns what clocks show, of the host that it is made for.
type clock func() stamp

// hostClock is the clock of our own host.
func hostClock() clock {
	boot := bootID()
	return func() stamp { return stamp{wall: time.Now(), boot: boot, up: uptime()} }
}

// bootID returns a name of the host's present start, or nothing where the kernel
// does not tell.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	id, _, _ := strings.Cut(strings.TrimSpace(string(b)), "-") // 32 of its bits will do
	return id
}

// uptime counts also while the host is suspended.
func uptime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// sameBoot reports whether the time between two stamps is certain.
func sameBoot(a, b stamp) bool { return a.boot != "" && a.boot == b.boot }

// between returns how much time is known to have passed from a to b: across two
// starts of the host what the clock on the wall says, if that can be, else none.
func between(a, b stamp) time.Duration {
	if sameBoot(a, b) {
		return max(0, b.up-a.up)
	}
	return believed(b.wall.Round(0).Sub(a.wall.Round(0)))
}

// believed returns d unless no clock that is right can have measured it.
func believed(d time.Duration) time.Duration {
	if d < 0 || d > longestGap {
		return 0
	}
	return d
}

// writing is when a memory was written.
type writing struct {
	at    stamp
	after time.Duration // the first record of the file
}

// onClock puts what the file says of machines on the present clock, so that each
// time is as long ago as it truly is, and stays so when the clock is set from now
// on. Each record may have been written by another clock.
func (c *content) onClock(now stamp) {
	c.base = now.wall
	if c.last == nil {
		return
	}
	gap := between(*c.last, now)
	c.seen = now.wall.Add(-gap)
	c.until = now.wall.Add(-c.away(gap))
	c.pass(gap)
	for _, t := range c.timelines {
		t.shift(c.elapsed)
		if n := len(t.wakes); n > 0 && t.wakes[n-1].outcome == machine.UnderWay {
			t.settle(machine.Over)
		}
	}
	for mac, m := range c.machines {
		w := c.writings[mac]
		then := now.wall.Add(-(c.elapsed - w.after))
		m.Since = w.moved(m.Since, then, w.at.boot == "")
		m.LastWake.At = w.moved(m.LastWake.At, then, false)
		m.Registered = w.moved(m.Registered, then, false)
		m.Heard = w.moved(m.Heard, then, false)
		m.Counted = w.moved(m.Counted, then, false)
		m.Paused = w.ahead(m.Paused, then)
		c.machines[mac] = m
	}
}

// away returns for how much of the time since the last record the porter did not run:
// a run that was killed has lasted no longer than it takes to write again.
func (c *content) away(gap time.Duration) time.Duration {
	if c.ended {
		return gap
	}
	return max(0, gap-markEvery)
}

// pass takes in that time has passed since the last record.
func (c *content) pass(gap time.Duration) {
	away := c.away(gap)
	c.elapsed = min(c.elapsed+gap, century)
	c.timelines.absent(c.elapsed-away, c.elapsed)
}

// ahead is moved for a time that was still to come when the memory was written.
func (w writing) ahead(t, then time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return onto(t, then.Add(min(t.Sub(w.at.wall), machine.MaxPause)))
}

// clockSlack is how far two clocks may be apart without one of them having been
// set.
const clockSlack = time.Second

// moved returns t, which the clock showed when the memory was written, on the one
// that shows then for that moment. A doubtful t may be of yet another clock.
func (w writing) moved(t, then time.Time, doubtful bool) time.Time {
	if t.IsZero() {
		return t
	}
	return onto(t, then.Add(-w.age(t, doubtful)))
}

// onto returns moved, or t with its monotonic reading where the two are the same moment.
func onto(t, moved time.Time) time.Time {
	if d := t.Sub(moved.Round(0)); d.Abs() < clockSlack {
		return moved.Add(d) // as it was, but with a monotonic reading
	}
	return moved
}

// age returns how long before the writing t was.
func (w writing) age(t time.Time, doubtful bool) time.Duration {
	age := max(0, w.at.wall.Sub(t))
	if doubtful {
		age = believed(age)
	}
	return age
}
