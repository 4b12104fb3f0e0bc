package journal

import (
	"bytes"
	"testing"
	"time"

	"nightporter/internal/machine"
)

// years is how far a clock that was never set is off.
const years = 50 * 365 * 24 * time.Hour

// TestFaultClock: how long a machine has slept when the journal is opened, whatever
// was done to the clock on the wall meanwhile.
func TestFaultClock(t *testing.T) {
	const ours, theirs, none = "0badc0de", "1a2b3c4d", ""
	at := func(off time.Duration, boot string, up time.Duration) stamp {
		return stamp{wall: night.Add(off + up), boot: boot, up: up}
	}
	// The machine falls asleep a minute after a host has started, something else
	// is written 10 minutes later, and the journal is opened an hour after that or
	// after another start.
	const slept = 10 * time.Minute
	first, last := time.Minute, 11*time.Minute
	for _, c := range []struct {
		name           string
		asleep, wrote  stamp
		opened         stamp
		least, longest time.Duration // when it is silent, and when it speaks
	}{
		{"no clock was set", at(0, ours, first), at(0, ours, last), at(0, ours, last+time.Hour), slept, slept + time.Hour},
		{"... for a month", at(0, ours, first), at(0, ours, last), at(0, ours, last+30*24*time.Hour), slept, slept + 30*24*time.Hour},
		{"set forwards in the sleep", at(-years, ours, first), at(0, ours, last), at(0, ours, last+time.Hour), slept, slept + time.Hour},
		{"set forwards in the absence", at(-years, ours, first), at(-years, ours, last), at(0, ours, last+time.Hour), slept, slept + time.Hour},
		{"set back in the sleep", at(years, ours, first), at(0, ours, last), at(0, ours, last+time.Hour), slept, slept + time.Hour},
		{"set back in the absence", at(years, ours, first), at(years, ours, last), at(0, ours, last+time.Hour), slept, slept + time.Hour},
		{"another start", at(0, theirs, first), at(0, theirs, last), at(last+time.Hour, ours, 0), slept, slept + time.Hour},
		{"another start in the past", at(0, theirs, first), at(0, theirs, last), at(-years, ours, time.Minute), slept, slept},
		{"another start a moment too early", at(0, theirs, first), at(0, theirs, last), at(0, ours, time.Minute), slept, slept},
		{"another start, and the clock was wrong before", at(-years, theirs, first), at(-years, theirs, last), at(0, ours, time.Minute), slept, slept},
		{"another start in the sleep", at(0, theirs, first), at(first, ours, last), at(first, ours, last+time.Hour), last, last + time.Hour},
		{"another start in the sleep, with the clock of 1970", at(0, theirs, first), at(-years, ours, last), at(0, ours, last+time.Hour), 0, time.Hour},
		{"no boot is known", at(0, none, first), at(0, none, last), at(0, ours, last+time.Hour), slept, slept + time.Hour},
		{"no boot is known, asleep since 1970", at(-years, none, first), at(0, none, last), at(0, ours, last+time.Hour), 0, time.Hour},
		{"no boot is known, asleep since 2075", at(years, none, first), at(0, none, last), at(0, ours, last+time.Hour), 0, time.Hour},
		{"no boot is known, seen in 2075", at(0, none, first), at(years, none, last), at(0, ours, last+time.Hour), 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := *memoryOf(1)
			mem.Since, mem.Registered, mem.LastWake = c.asleep.wall, c.asleep.wall.Add(-time.Second), machine.LastWake{}
			mem.Counted = c.asleep.wall.Add(-time.Minute)
			past := pastOf(t, c.opened, []batchAt{
				{c.asleep, line{memory: mem, carries: newestMemory}}, {c.wrote, line{event: Event{Kind: Refused, Seq: 1}}},
			})
			m := past.machines[mem.Spec.MAC]
			now := c.opened.wall
			near(t, "asleep for", now.Sub(m.Since), c.longest)
			near(t, "registered before that", m.Since.Sub(m.Registered), time.Second)
			near(t, "counted before that", m.Since.Sub(m.Counted), time.Minute)
			if !m.LastWake.At.IsZero() {
				t.Errorf("woken %v, want never", m.LastWake.At)
			}
			if past.until.Before(past.seen) || past.until.After(now) || past.until.Sub(past.seen) > markEvery {
				t.Errorf("seen %v, until %v, now %v", past.seen, past.until, now)
			}
			near(t, "asleep when it was seen last", past.seen.Sub(m.Since), c.least)

			mem.Spec.IdleWatts, mem.Spec.SleepWatts, m.Spec = 52, 2, mem.Spec
			life := machine.Restore(m, machine.Policy{}, past.until, now)
			life.Handle(now, machine.Ticked{}) // it is asked
			life.Handle(now, machine.Answered{Addr: mem.Spec.Monitor[0].IP, Proof: machine.BySystem})
			near(t, "counted", life.Status().Tally.Slept-m.Tally.Slept, past.until.Sub(m.Since))
		})
	}
}

// TestPauseOnAnotherClock: a pause is over as long after it began as was asked for,
// whatever was done to the clock on the wall meanwhile, and never later than may be.
func TestPauseOnAnotherClock(t *testing.T) {
	const ours, theirs = "0badc0de", "1a2b3c4d"
	at := func(off time.Duration, boot string, up time.Duration) stamp {
		return stamp{wall: night.Add(off + up), boot: boot, up: up}
	}
	for _, c := range []struct {
		name          string
		wrote, opened stamp
		until         time.Duration // from what the clock showed at the beginning
		left          time.Duration
	}{
		{"no clock was set", at(0, ours, 0), at(0, ours, time.Hour), 3 * time.Hour, 2 * time.Hour},
		{"set forwards", at(-years, ours, 0), at(0, ours, time.Hour), 3 * time.Hour, 2 * time.Hour},
		{"set back", at(years, ours, 0), at(0, ours, time.Hour), 3 * time.Hour, 2 * time.Hour},
		{"over", at(0, ours, 0), at(0, ours, 4*time.Hour), 3 * time.Hour, -time.Hour},
		{"another start", at(0, theirs, 0), at(time.Hour, ours, 0), 3 * time.Hour, 2 * time.Hour},
		{"another start in the past", at(0, theirs, 0), at(-years, ours, 0), 3 * time.Hour, 3 * time.Hour},
		{"longer than may be", at(0, ours, 0), at(0, ours, time.Hour), years, machine.MaxPause - time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := *memoryOf(1)
			mem.Paused = c.wrote.wall.Add(c.until)
			m := pastOf(t, c.opened, []batchAt{{c.wrote, line{memory: mem, carries: newestMemory}}}).machines[mem.Spec.MAC]
			near(t, "left", m.Paused.Sub(c.opened.wall), c.left)
		})
	}
}

// batchAt is a line and when it is written.
type batchAt struct {
	at   stamp
	line line
}

// pastOf writes lines and reads them at another time.
func pastOf(t *testing.T, now stamp, lines []batchAt) *content {
	t.Helper()
	file := headerLine()
	for _, l := range lines {
		var err error
		if file, err = encode(&batch{lines: []line{l.line}}, l.at, file); err != nil {
			t.Fatal(err)
		}
	}
	c := read(bytes.NewReader(file))
	if c.fault != nil {
		t.Fatal(c.fault)
	}
	c.onClock(now)
	return c
}

// near allows for what a clock may be off without having been set.
func near(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if (got - want).Abs() > 2*clockSlack {
		t.Errorf("%s %v, want %v", what, got, want)
	}
}

// TestUntil: a run that was killed may have lasted as long as it would have taken
// to write again, and one that ended in order has left word.
func TestUntil(t *testing.T) {
	now := stamp{wall: night.Add(100 * time.Hour), boot: "b", up: 100 * time.Hour}
	asleep := batchAt{stamp{wall: night, boot: "b"}, line{memory: *memoryOf(1), carries: newestMemory}}
	hours := func(n int, c carries) batchAt {
		up := time.Duration(n) * time.Hour
		return batchAt{stamp{wall: night.Add(up), boot: "b", up: up}, line{carries: c}}
	}
	for _, c := range []struct {
		name  string
		lines []batchAt
		until int
	}{
		{"killed", []batchAt{asleep}, 1},
		{"killed after the last mark", []batchAt{asleep, hours(1, presence), hours(2, presence)}, 3},
		{"ended in order", []batchAt{asleep, hours(1, presence), hours(2, theEnd)}, 2},
		{"another run was killed", []batchAt{asleep, hours(1, theEnd), hours(5, presence)}, 6},
		{"killed a moment ago", []batchAt{asleep, hours(100, presence)}, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			near(t, "until", pastOf(t, now, c.lines).until.Sub(night), time.Duration(c.until)*time.Hour)
		})
	}
}

// TestEndIsWritten whether or not a machine is known.
func TestEndIsWritten(t *testing.T) {
	for machines := range 2 {
		dir := t.TempDir()
		j, _, _ := opened(t, dir)
		for i := range machines {
			mem := memoryOf(i)
			mem.State = machine.Awake
			j.Append(Record{Memory: mem})
		}
		j.Append(Record{Event: Event{Kind: Refused}})
		closed(t, j)
		if got := bytes.Count(contentOf(t, dir), []byte(`"end":true`)); got != 1 {
			t.Errorf("%d machines: %d ends", machines, got)
		}
	}
}

// TestStartIsWritten where a machine is known: the next start could not tell otherwise
// that the porter was there before it wrote anything else.
func TestStartIsWritten(t *testing.T) {
	dir := t.TempDir()
	j, _, _ := opened(t, dir)
	m := memoryOf(1)
	m.State = machine.Awake
	j.Append(Record{Memory: m})
	closed(t, j)
	before := len(contentOf(t, dir))
	j, _, _ = opened(t, dir)
	synced(t, j)
	line := contentOf(t, dir)[before:]
	if bytes.Count(line, []byte("\n")) != 1 || bytes.Contains(line, []byte("end")) || bytes.Contains(line, []byte("machine")) {
		t.Errorf("a start writes %q", line)
	}
}
