package web

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// moment is a time for people, on the porter's clock and calendar.
type moment struct {
	Stamp string // for programs: RFC 3339
	Full  string // 2026-11-22 20:36:10
	Shown string // as short as the distance allows: 20:36, Sun 20:36, 22 Nov or 2025-11-22
	Ago   string // 3 h 12 min ago
}

func momentOf(t, now time.Time) moment {
	m := moment{Stamp: rfc3339(t), Full: t.Local().Format(time.DateTime), Shown: short(t.Local(), now.Local()), Ago: "just now"}
	if d := now.Sub(t); d >= time.Minute {
		m.Ago = span(d) + " ago"
	}
	return m
}

// knownMoment is momentOf for a time that may not be known.
func knownMoment(t, now time.Time) *moment {
	if t.IsZero() {
		return nil
	}
	m := momentOf(t, now)
	return &m
}

// earlier returns the earlier of two times; zero, which is not known, is earlier than all.
func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// toSecond is momentOf for what may follow each other quickly.
func toSecond(t, now time.Time) moment {
	m := momentOf(t, now)
	if m.Shown == t.Local().Format("15:04") {
		m.Shown = t.Local().Format(time.TimeOnly)
	}
	return m
}

// short says when something was, seen from now, on the calendar of both.
func short(t, now time.Time) string {
	y, month, d := now.Date()
	midnight := func(before int) time.Time { return time.Date(y, month, d-before, 0, 0, 0, 0, now.Location()) }
	switch {
	case !t.Before(midnight(-7)):
		return t.Format("2006-01-02")
	case !t.Before(midnight(-1)): // the end of a pause
		return t.Format("Mon 15:04")
	case !t.Before(midnight(0)):
		return t.Format("15:04")
	case !t.Before(midnight(6)): // the weekday of today is not among those
		return t.Format("Mon 15:04")
	case t.Year() == y:
		return t.Format("2 Jan")
	}
	return t.Format("2006-01-02")
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

// percent says which part of a whole something is.
func percent(part, whole time.Duration) string {
	if whole <= 0 {
		return "0 %"
	}
	return fmt.Sprintf("%.0f %%", 100*min(1, part.Seconds()/whole.Seconds()))
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

// Ago says how long before now t was, in the words of the page.
func Ago(t, now time.Time) string { return momentOf(t, now).Ago }

// rfc3339 is how times are shown: to the second, in UTC.
func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// ifKnown shows a time that there may be none of.
func ifKnown(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return rfc3339(t)
}

// capital returns s with a capital first letter.
func capital(s string) string {
	first := []rune(s)[:1]
	return strings.ToUpper(string(first)) + strings.TrimPrefix(s, string(first))
}

func texts(addrs []netip.Addr) []string {
	all := make([]string, len(addrs))
	for i, a := range addrs {
		all[i] = a.String()
	}
	return all
}

// hostPart leaves out the port of an address, if it is one.
func hostPart(s string) string {
	if a, err := netip.ParseAddrPort(s); err == nil {
		return a.Addr().String()
	}
	return s
}

// ifAny returns what between and s say, or nothing if there is no s.
func ifAny(between, s string) string {
	if s == "" {
		return ""
	}
	return between + s
}

// source leaves out the port where there is none, as for an echo request.
func source(a netip.AddrPort) string {
	if a.Port() == 0 {
		return a.Addr().String()
	}
	return a.String()
}

// weekday names a date as "Sun 2026-11-22".
func weekday(date string) string {
	t, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return date
	}
	return t.Format("Mon 2006-01-02")
}

func prefixes(all []netip.Prefix) string {
	text := make([]string, len(all))
	for i, p := range all {
		text[i] = p.String()
	}
	return strings.Join(text, ", ")
}

// atTime shows a time, and how long ago it was.
func atTime(t, now time.Time) string {
	m := momentOf(t, now)
	if t.After(now) {
		return m.Shown
	}
	return m.Shown + " (" + m.Ago + ")"
}
