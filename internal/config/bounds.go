package config

import (
	"fmt"
	"time"
)

// durationOrNone is duration, or 0 with or without a unit, for what can be left
// out altogether.
func durationOrNone(low, high time.Duration) codec[time.Duration] {
	expected := fmt.Sprintf("0, or a duration with its unit from %s to %s, such as 5s", Brief(low), Brief(high))
	c := parsed("duration", expected, func(s string) (time.Duration, bool) {
		d, err := time.ParseDuration(s)
		return d, err == nil && (d == 0 || d >= low && d <= high)
	}, func(d time.Duration) any { return Brief(d) })
	read := c.read
	c.read = func(p place, raw any) (time.Duration, bool) {
		if n, ok := integer(raw); ok && n == 0 {
			return 0, true
		}
		return read(p, raw)
	}
	return c
}

// noMore refuses a list of more than most entries.
func noMore[T any](c codec[[]T], most int) codec[[]T] {
	read := c.read
	c.read = func(p place, raw any) ([]T, bool) {
		vs, ok := read(p, raw)
		if ok && len(vs) > most {
			ok = p.exceeds(len(vs), "entries", most)
		}
		return vs, ok
	}
	return c
}

// amount is how much there is of something. An error tells it instead of the value.
type amount string

// exceeds reports that there is too much of something. It returns false.
func (p place) exceeds(n int, of string, most int) bool {
	return p.wrong(amount(fmt.Sprintf("%d %s", n, of)), fmt.Sprintf("at most %d", most))
}
