package journal

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nightporter/internal/machine"
)

// longestGap is the longest time between two boots that the wall clock is trusted for.
// A host without a real-time clock boots with a time in the past until NTP sets it, and
// a wrong sleep time of years in a counter cannot be corrected later.
const longestGap = 7 * 24 * time.Hour

// century bounds durations from the file, so that no sum overflows.
const century = 100 * 365 * 24 * time.Hour

// stamp is one moment on two clocks: the wall clock, which can be set at any time, and
// the time since boot, which starts again with each boot of the host.
type stamp struct {
	wall time.Time
	boot string        // ID of the boot; empty: not known
	up   time.Duration // time since boot
}

// clock returns the present stamp of a host.
type clock func() stamp

// hostClock is the clock of this host.
func hostClock() clock {
	boot := bootID()
	return func() stamp { return stamp{wall: time.Now(), boot: boot, up: uptime()} }
}

// bootID returns an ID of the current boot, or "" if the kernel gives none.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	id, _, _ := strings.Cut(strings.TrimSpace(string(b)), "-") // 32 of its bits will do
	return id
}

// uptime returns the time since boot, including suspended time.
func uptime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// sameBoot reports whether the time between two stamps is certain.
func sameBoot(a, b stamp) bool { return a.boot != "" && a.boot == b.boot }

// between returns the time from a to b. Across two boots it uses the wall clock, if that
// is plausible, else it returns 0.
func between(a, b stamp) time.Duration {
	if sameBoot(a, b) {
		return max(0, b.up-a.up)
	}
	return believed(b.wall.Round(0).Sub(a.wall.Round(0)))
}

// believed returns d, or 0 if a correct clock cannot have measured it.
func believed(d time.Duration) time.Duration {
	if d < 0 || d > longestGap {
		return 0
	}
	return d
}

// writing is the time at which a memory was written.
type writing struct {
	at    stamp
	after time.Duration // since the first record of the file
}

// ahead is moved for a time that was in the future when the memory was written.
func (w writing) ahead(t, then time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return onto(t, then.Add(min(t.Sub(w.at.wall), machine.MaxPause)))
}

// clockSlack is the difference up to which two clocks count as equal.
const clockSlack = time.Second

// moved converts t from the clock of the writing to the one that shows then at the same
// moment. A doubtful t may be of a third clock.
func (w writing) moved(t, then time.Time, doubtful bool) time.Time {
	if t.IsZero() {
		return t
	}
	return onto(t, then.Add(-w.age(t, doubtful)))
}

// onto returns moved, or t with the monotonic reading of moved if both are the same moment.
func onto(t, moved time.Time) time.Time {
	if d := t.Sub(moved.Round(0)); d.Abs() < clockSlack {
		return moved.Add(d) // t, with a monotonic reading
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
