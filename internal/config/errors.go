package config

import (
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"nightporter/internal/notifyconf"
	"nightporter/internal/services"
)

// Error is one value that cannot be used.
type Error struct {
	Key      string // path of the key, such as "wake.attempts" or "machines[1].mac"
	Found    string // the value found; "a hidden value" for a secret
	Origin   string // such as "from /etc/nightporter/config.yaml, line 3", "from --wake.attempts", "the default"
	Expected string // what is accepted
}

// Error returns one line.
func (e *Error) Error() string {
	return fmt.Sprintf("%s: found %s (%s): expected %s", e.Key, e.Found, e.Origin, e.Expected)
}

// UnknownKeyError is a key that does not exist.
type UnknownKeyError struct {
	Key        string
	Origin     string // as in Error
	Suggestion string // the key, or the variable, that may have been meant; or empty
}

// Error returns one line.
func (e *UnknownKeyError) Error() string {
	s := fmt.Sprintf("%s: unknown key (%s)", e.Key, e.Origin)
	if e.Suggestion != "" {
		s += ": did you mean " + e.Suggestion + "?"
	}
	return s
}

// maxReported bounds the errors of one report: more help nobody, and a hostile
// file could cause hundreds of thousands.
const maxReported = 20

// report collects what is wrong.
type report struct {
	errs   []error
	failed map[string]bool // keys of the table without a usable value
	more   int             // errors beyond maxReported

	refused map[string]bool // secrets that were refused for their spelling
	names   services.Names  // nil until a name is looked up
	readURL func(raw string, s notifyconf.Service) error
}

func newReport() *report { return &report{failed: map[string]bool{}, refused: map[string]bool{}} }

// serviceNames returns the names that stand for ports.
func (r *report) serviceNames() services.Names {
	if r.names == nil {
		r.names = services.Load()
	}
	return r.names
}

func (r *report) full() bool { return len(r.errs) == maxReported }

func (r *report) add(err error) {
	if r.full() {
		r.more++
		return
	}
	r.errs = append(r.errs, err)
}

// sound reports whether all those keys have usable values, so that it makes
// sense to compare them.
func (r *report) sound(paths ...string) bool {
	for _, p := range paths {
		if r.failed[p] {
			return false
		}
	}
	return true
}

func (r *report) err() error {
	errs := r.errs
	if r.more > 0 {
		errs = append(errs[:len(errs):len(errs)], fmt.Errorf("and %d more errors", r.more))
	}
	return errors.Join(errs...)
}

// place is where a value stands. It turns a bad value into an Error.
type place struct {
	report *report
	key    string // the table's key
	path   string // the key, or an entry below it
	origin string
	line   func(path string) int // of the file that origin names; nil: there is none
	secret bool
}

// where says where the value stands, with its line in a file.
func (p place) where() string {
	if p.line == nil {
		return p.origin
	}
	if n := p.line(p.path); n > 0 {
		return fmt.Sprintf("%s, line %d", p.origin, n)
	}
	return p.origin
}

func (p place) entry(i int) place {
	p.path += "[" + strconv.Itoa(i) + "]"
	return p
}

func (p place) member(name string) place {
	p.path += "." + name
	return p
}

func (p place) hidden() place {
	p.secret = true
	return p
}

// wrong reports that the value found here is not the expected one. It returns
// false, for readers to return.
func (p place) wrong(found any, expected string) bool {
	text := "a hidden value"
	if !p.secret || found == nil {
		text = describe(found)
	}
	p.report.failed[p.key] = true
	if !p.report.refused[p.path] {
		p.report.add(&Error{Key: p.path, Found: text, Origin: p.where(), Expected: expected})
	}
	return false
}

// unknown reports a member that does not exist.
func (p place) unknown(name string, value any, known []string) {
	p.report.failed[p.key] = true
	if p.report.full() {
		p.report.more++ // without the search for a suggestion
		return
	}
	suggestion := suggest(name, known)
	if suggestion != "" {
		suggestion = p.member(suggestion).path
	}
	err := unknownKey(p.path+".", name, value, suggestion)
	err.Origin = p.member(name).where()
	p.report.add(err)
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
