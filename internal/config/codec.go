package config

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"nightporter/internal/machine"
)

// codec reads values of type T from what a YAML parser makes of a file, and
// writes them back.
type codec[T any] struct {
	noun string                           // what the help of a flag calls a value
	text func(string) any                 // turns text from the environment or a flag into what a file would hold
	read func(p place, raw any) (T, bool) // false: the value is bad, and reported
	show func(T) any                      // what a file would hold
}

func asText(s string) any { return s }

func asIs[T any](v T) any { return v }

// text reads text for which ok is true.
func text(noun, expected string, ok func(string) bool) codec[string] {
	return parsed(noun, expected, func(s string) (string, bool) { return s, ok(s) }, asIs)
}

// parsed reads text that parse understands.
func parsed[T any](noun, expected string, parse func(string) (T, bool), show func(T) any) codec[T] {
	read := func(p place, raw any) (T, bool) {
		var zero T
		s, isText := raw.(string)
		if !isText || !clean(s) {
			return zero, p.wrong(raw, expected)
		}
		v, ok := parse(s)
		if !ok {
			return zero, p.wrong(raw, expected)
		}
		return v, true
	}
	return codec[T]{noun: noun, text: asText, read: read, show: show}
}

// clean reports whether s is UTF-8 without control characters, which no value
// needs and which would garble logs and terminals.
func clean(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}

// oneOf reads one of the given words.
func oneOf(words ...string) codec[string] {
	return text("word", join(words, "or"), func(s string) bool { return slices.Contains(words, s) })
}

// wholeNumber reads an integer within bounds.
func wholeNumber(low, high int) codec[int] {
	expected := fmt.Sprintf("a whole number from %d to %d", low, high)
	return codec[int]{
		noun: "number",
		text: func(s string) any {
			if n, err := strconv.ParseInt(s, 10, 64); err == nil {
				return n
			}
			return s
		},
		read: func(p place, raw any) (int, bool) {
			n, ok := integer(raw)
			if !ok || n < int64(low) || n > int64(high) {
				return 0, p.wrong(raw, expected)
			}
			return int(n), true
		},
		show: asIs[int],
	}
}

// integer returns the integer that a parser found, in whatever type that fits
// it on this platform.
func integer(raw any) (int64, bool) {
	switch n := raw.(type) {
	case int:
		return int64(n), true
	case int64:
		return n, true
	}
	return 0, false
}

func watts() codec[float64] {
	expected := fmt.Sprintf("a number of watts from 0 to %d", machine.MaxWatts)
	return codec[float64]{
		noun: "watts",
		text: func(s string) any {
			if w, err := strconv.ParseFloat(s, 64); err == nil {
				return w
			}
			return s
		},
		read: func(p place, raw any) (float64, bool) {
			w, ok := raw.(float64)
			if n, whole := integer(raw); whole {
				w, ok = float64(n), true
			}
			if !ok || !(w >= 0 && w <= machine.MaxWatts) { // so written, it also refuses NaN
				return 0, p.wrong(raw, expected)
			}
			return w + 0, true // makes 0 of -0
		},
		show: asIs[float64],
	}
}

func boolean() codec[bool] {
	return codec[bool]{
		noun: "bool",
		text: func(s string) any {
			if s == "true" || s == "false" {
				return s == "true"
			}
			return s
		},
		read: func(p place, raw any) (bool, bool) {
			b, ok := raw.(bool)
			if !ok {
				return false, p.wrong(raw, "true or false")
			}
			return b, true
		},
		show: asIs[bool],
	}
}

// duration reads a duration within bounds, in Go's syntax ("1m30s").
func duration(low, high time.Duration) codec[time.Duration] {
	expected := fmt.Sprintf("a duration with its unit from %s to %s, such as 5s", Brief(low), Brief(high))
	return parsed("duration", expected, func(s string) (time.Duration, bool) {
		d, err := time.ParseDuration(s)
		return d, err == nil && d >= low && d <= high
	}, func(d time.Duration) any { return Brief(d) })
}

func level() codec[slog.Level] {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	return parsed("word", "debug, info, warn or error", func(s string) (slog.Level, bool) {
		l, ok := levels[s]
		return l, ok
	}, func(l slog.Level) any { return strings.ToLower(l.String()) })
}

// secretValue keeps the value out of errors.
func secretValue[T any](c codec[T]) codec[T] {
	read := c.read
	c.read = func(p place, raw any) (T, bool) { return read(p.asSecret(), raw) }
	return c
}

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
