package machine_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/machine"
)

// berlin changes to summer time at 2 o'clock on 2026-03-29, and back at 3 o'clock on
// 2026-10-25.
func berlin(t *testing.T) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skipf("no time zones here: %v", err)
	}
	return loc
}

func days(s *machine.Status, now time.Time) map[string]time.Duration {
	slept := make(map[string]time.Duration)
	for _, d := range s.SleptDays(now) {
		if d.Slept != 0 {
			slept[d.Date] = d.Slept
		}
	}
	return slept
}

// A sleep is entered on the days it was slept on, whether it has ended or not.
func TestDaysOfASleep(t *testing.T) {
	loc := berlin(t)
	havana, err := time.LoadLocation("America/Havana") // whose summer time begins at midnight
	if err != nil {
		t.Skipf("no time zones here: %v", err)
	}
	at := func(loc *time.Location, s string) time.Time {
		when, err := time.ParseInLocation("2006-01-02 15:04", s, loc)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	const h = time.Hour
	for _, c := range []struct {
		name     string
		from, to time.Time
		want     map[string]time.Duration
	}{
		{"within a day", at(loc, "2026-11-22 08:00"), at(loc, "2026-11-22 17:30"), map[string]time.Duration{"2026-11-22": 9*h + h/2}},
		{"across midnight", at(loc, "2026-11-21 22:00"), at(loc, "2026-11-22 07:00"),
			map[string]time.Duration{"2026-11-21": 2 * h, "2026-11-22": 7 * h}},
		{"until midnight", at(loc, "2026-11-21 22:00"), at(loc, "2026-11-22 00:00"), map[string]time.Duration{"2026-11-21": 2 * h}},
		{"the short night", at(loc, "2026-03-28 22:00"), at(loc, "2026-03-30 01:00"),
			map[string]time.Duration{"2026-03-28": 2 * h, "2026-03-29": 23 * h, "2026-03-30": h}},
		{"the long night", at(loc, "2026-10-24 22:00"), at(loc, "2026-10-26 01:00"),
			map[string]time.Duration{"2026-10-24": 2 * h, "2026-10-25": 25 * h, "2026-10-26": h}},
		{"a day without a midnight", at(havana, "2026-03-07 22:00"), at(havana, "2026-03-08 03:00"),
			map[string]time.Duration{"2026-03-07": 2 * h, "2026-03-08": 2 * h}},
		{"a month", at(loc, "2026-10-22 12:00"), at(loc, "2026-11-22 12:00"), map[string]time.Duration{
			"2026-11-16": 24 * h, "2026-11-17": 24 * h, "2026-11-18": 24 * h, "2026-11-19": 24 * h, "2026-11-20": 24 * h, "2026-11-21": 24 * h,
			"2026-11-22": 12 * h,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := machine.Restore(machine.Memory{Spec: spec(), State: machine.Asleep, Since: c.from}, policy(), c.to, c.to)
			now := c.to
			for range 3 { // it is silent, so that its sleep has gone on
				m.Handle(now, machine.Ticked{})
				now = m.Next()
				m.Handle(now, machine.Ticked{})
			}
			if m.State() != machine.Asleep {
				t.Fatalf("it is %v", m.State())
			}
			asleep := m.Status()
			if d := cmp.Diff(c.want, days(&asleep, c.to)); d != "" {
				t.Errorf("while it sleeps (-want +got):\n%s", d)
			}
			m = machine.Restore(machine.Memory{Spec: spec(), State: machine.Asleep, Since: c.from}, policy(), c.to, c.to)
			m.Handle(c.to, machine.Registered{Spec: spec()})
			ended := m.Status()
			if ended.Tally.Slept != c.to.Sub(c.from) {
				t.Fatalf("slept %v, want %v", ended.Tally.Slept, c.to.Sub(c.from))
			}
			if d := cmp.Diff(c.want, days(&ended, c.to)); d != "" {
				t.Errorf("after it (-want +got):\n%s", d)
			}
		})
	}
}

// All days of a week are returned, also those without a sleep; older ones are not, and
// neither are those of a clock that was wrong.
func TestAWeekIsTold(t *testing.T) {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	s := machine.Status{State: machine.Asleep, Since: now.Add(-time.Hour), SleepLog: machine.SleepLog{
		{Date: "1970-01-01", Slept: 1}, {Date: "2026-02-23", Slept: 2}, {Date: "2026-02-24", Slept: 3}, {Date: "2026-03-01", Slept: 4},
		{Date: "2026-03-02", Slept: time.Minute}, {Date: "2031-01-01", Slept: 5},
	}}
	before := cmp.Diff(s.SleepLog, nil)
	want := [machine.Week]machine.Day{
		{"2026-02-24", 3}, {"2026-02-25", 0}, {"2026-02-26", 0}, {"2026-02-27", 0}, {"2026-02-28", 0}, {"2026-03-01", 4}, {"2026-03-02", time.Hour + time.Minute},
	}
	if d := cmp.Diff(want, s.SleptDays(now)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if after := cmp.Diff(s.SleepLog, nil); after != before {
		t.Error("the diary was changed, which others may be reading")
	}
}

// A diary stays small, and keeps the newest days.
func TestDiaryIsBounded(t *testing.T) {
	l := newLife(t, nil)
	for range 30 {
		l.event(registered).pass(24 * time.Hour)
	}
	diary := l.m.Status().SleepLog
	if len(diary) != 8 || diary[7].Date != l.now.AddDate(0, 0, -1).Format(time.DateOnly) {
		t.Fatalf("after a month, on %v: %v", l.now, diary)
	}
	for i, d := range diary[:7] {
		if d.Date >= diary[i+1].Date || d.Slept < 23*time.Hour {
			t.Errorf("%v", diary)
		}
	}
	before := append(machine.SleepLog(nil), diary...)
	l.event(registered)
	if d := cmp.Diff(before, diary); d != "" {
		t.Errorf("a returned value has changed (-before +after):\n%s", d)
	}
}
