package machine

import (
	"slices"
	"strings"
	"time"
)

// Day is one day on the calendar of the porter's time zone.
type Day struct {
	Date  string        // "2026-11-22"
	Slept time.Duration // on that day
}

// SleepLog holds how long a machine slept on each of the last days on which it slept,
// oldest first. It is never changed once made, so it may be shared.
type SleepLog []Day

// sleepLogDays bounds a SleepLog: a week, and one day that a wrong clock may have put
// into the future.
const sleepLogDays = 8

// with returns d with a sleep that ended at to, by the calendar of to. Sleep before
// the last sleepLogDays is left out.
func (d SleepLog) with(slept time.Duration, to time.Time) SleepLog {
	to = to.Round(0) // days end on the wall, whatever the monotonic clock says
	from := to.Add(-slept)
	d = slices.Clone(d)
	// Backwards, and no further than it lasted: a machine that is woken waits for us.
	for before, end := 0, to; before < sleepLogDays && from.Before(end); before++ {
		start := midnight(to, before) // days are not 24 h each: summer time begins and ends
		if part := min(end.Sub(start), end.Sub(from)); part > 0 {
			d = d.add(dateOf(to, before), part)
		}
		end = start
	}
	return d.Bounded()
}

// Bounded returns the newest sleepLogDays of d.
func (d SleepLog) Bounded() SleepLog { return d[max(0, len(d)-sleepLogDays):] }

// add changes d.
func (d SleepLog) add(date string, slept time.Duration) SleepLog {
	i, found := d.find(date)
	if !found {
		return slices.Insert(d, i, Day{Date: date, Slept: slept})
	}
	d[i].Slept += slept
	return d
}

func (d SleepLog) find(date string) (int, bool) {
	return slices.BinarySearchFunc(d, date, func(day Day, date string) int { return strings.Compare(day.Date, date) })
}

// Week is the number of days that Status.SleptDays returns.
const Week = 7

// DayBounds is when a day begins and ends.
type DayBounds struct {
	Date     string // "2026-11-22"
	From, To time.Time
}

// LastDays returns the days of the last week on the calendar of now: oldest first, and
// the last is the day of now.
func LastDays(now time.Time) (days [Week]DayBounds) {
	now = now.Round(0) // days end on the wall, whatever the monotonic clock says
	for i := range days {
		before := Week - 1 - i
		days[i] = DayBounds{Date: dateOf(now, before), From: midnight(now, before), To: midnight(now, before-1)}
	}
	return days
}

// dateOf returns the date of the day that was so many days before that of now.
func dateOf(now time.Time, before int) string {
	y, m, d := now.Date()
	return time.Date(y, m, d-before, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
}

// midnight returns when the day began that was so many days before that of now.
func midnight(now time.Time, before int) time.Time {
	y, m, d := now.Date()
	t := time.Date(y, m, d-before, 0, 0, 0, 0, now.Location())
	if t.Hour() != 0 { // summer time begins there at midnight
		if _, end := t.ZoneBounds(); end.Sub(t).Abs() < 12*time.Hour {
			return end
		}
	}
	return t
}
