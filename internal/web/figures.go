package web

import (
	"fmt"
	"time"
)

// moment is a time for people, on the porter's clock and calendar.
type moment struct {
	Stamp string // for programs: RFC 3339
	Shown string // 2026-11-22 20:36
	Ago   string // 3 h 12 min ago
}

func toMinute(t, now time.Time) moment { return momentOf(t, now, "2006-01-02 15:04") }

func toSecond(t, now time.Time) moment { return momentOf(t, now, time.DateTime) }

func momentOf(t, now time.Time, layout string) moment {
	m := moment{Stamp: rfc3339(t), Shown: t.Local().Format(layout), Ago: "just now"}
	if d := now.Sub(t); d >= time.Minute {
		m.Ago = span(d) + " ago"
	}
	return m
}

const day = 24 * time.Hour

// span says how long something took, in two units at most. It rounds down, as
// clocks do.
func span(d time.Duration) string {
	d = max(0, d)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%d h", d/time.Hour) + rest(d%time.Hour/time.Minute, "min")
	case d < 10*day:
		return fmt.Sprintf("%d d", d/day) + rest(d%day/time.Hour, "h")
	}
	return fmt.Sprintf("%d d", d/day)
}

func rest(n time.Duration, unit string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" %d %s", n, unit)
}

// amount is span for sums, which are compared with each other: days would hide
// what they are.
func amount(d time.Duration) string {
	if d < 10*time.Hour {
		return span(d)
	}
	return fmt.Sprintf("%d h", d/time.Hour)
}

// Energy shows joules in the unit of electricity bills.
func Energy(joules float64) string {
	wattHours := joules / 3600
	switch {
	case wattHours < 10:
		return fmt.Sprintf("%.1f Wh", wattHours)
	case wattHours < 1000:
		return fmt.Sprintf("%.0f Wh", wattHours)
	case wattHours < 100_000:
		return fmt.Sprintf("%.1f kWh", wattHours/1000)
	}
	return fmt.Sprintf("%.0f kWh", wattHours/1000)
}

// seconds says how long a boot took.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
