package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"nightporter/internal/web"
)

// plural returns n with a noun, which takes an s unless n is 1.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// localTime is a time of the API (RFC 3339) in the time zone of this host.
func localTime(s string) string {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return printable(s)
	}
	return t.Local().Format(time.DateTime)
}

// ago says how long ago a time of the API was.
func ago(s string, now time.Time) string {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return printable(s)
	}
	return web.Ago(t, now)
}

// localTimeAgo is localTime, and how long ago it was.
func localTimeAgo(s string, now time.Time) string {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return printable(s)
	}
	return t.Local().Format(time.DateTime) + " (" + web.Ago(t, now) + ")"
}

// durationText is a duration rounded to seconds.
func durationText(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
}

// sumText is the sum of counts, and the counts that are not 0 by name.
func sumText(counts map[string]uint64) string {
	var sum uint64
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if n := counts[name]; n > 0 {
			sum += n
			parts = append(parts, fmt.Sprintf("%s %d", printable(name), n))
		}
	}
	if sum == 0 {
		return "0"
	}
	return fmt.Sprintf("%d (%s)", sum, strings.Join(parts, ", "))
}

// localDate is the date of a time of the API in the time zone of this host.
func localDate(s string) string {
	date, _, _ := strings.Cut(localTime(s), " ")
	return date
}
