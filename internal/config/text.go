package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Brief writes a duration without the zero units that Go appends: "10m", not
// "10m0s".
func Brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// maxShown bounds how much of a value an error repeats, in bytes.
const maxShown = 80

// describe puts a value into words. It never walks through lists and mappings:
// they may be large, and may hold secrets.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return nothing
	case string:
		return strconv.Quote(clip(v))
	case time.Duration:
		return Brief(v)
	case []any:
		if len(v) == 0 {
			return "an empty list"
		}
		return "a list"
	case map[string]any, map[any]any:
		return "a mapping"
	}
	return clip(fmt.Sprint(v))
}

// printable returns a name as it is, or quoted where it would garble the line.
func printable(name string) string {
	name = clip(name)
	if q := strconv.Quote(name); name == "" || q[1:len(q)-1] != name {
		return q
	}
	return name
}

func clip(s string) string {
	if len(s) <= maxShown {
		return s
	}
	end := maxShown
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "..."
}

// join lists words as a sentence does.
func join(words []string, last string) string {
	n := len(words) - 1
	if n == 0 {
		return words[0]
	}
	return strings.Join(words[:n], ", ") + " " + last + " " + words[n]
}

// nothing is found where a key has no value.
const nothing = "nothing"
