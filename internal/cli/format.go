package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"nightporter/internal/web"
)

func plural(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}

// localTime shows a time of the API on the clock of this host.
func localTime(s string) string {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return printable(s)
	}
	return t.Local().Format(time.DateTime)
}

// ago shows how long ago a time of the API was.
func ago(s string, now time.Time) string {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return printable(s)
	}
	return web.Ago(t, now)
}

// localTimeAgo shows a time of the API on the clock of this host, and how long ago it was.
func localTimeAgo(s string, now time.Time) string {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return printable(s)
	}
	return t.Local().Format(time.DateTime) + " (" + web.Ago(t, now) + ")"
}

func durationText(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
}

// sumText lists what is not 0, by name.
func sumText(of map[string]uint64) string {
	var sum uint64
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		if n := of[name]; n > 0 {
			sum += n
			parts = append(parts, fmt.Sprintf("%s %d", printable(name), n))
		}
	}
	if sum == 0 {
		return "0"
	}
	return fmt.Sprintf("%d (%s)", sum, strings.Join(parts, ", "))
}

// localDate shows the date of a time of the API on the calendar of this host.
func localDate(s string) string {
	date, _, _ := strings.Cut(localTime(s), " ")
	return date
}
