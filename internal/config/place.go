package config

import (
	"errors"
	"fmt"
	"strconv"

	"nightporter/internal/notifyconf"
	"nightporter/internal/services"
)

// place is where a value is set. It turns a bad value into an Error.
type place struct {
	report *report
	key    string // the table's key
	path   string // the key, or an entry below it
	origin string
	line   func(path string) int // of the file that origin names; nil: there is none
	secret bool
}

// where returns where the value is set, with its line in a file.
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

func (p place) asSecret() place {
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
	if !p.report.misspelled[p.path] {
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

// maxReported bounds the errors of one report: a hostile file could cause hundreds of thousands.
const maxReported = 20

// report collects errors.
type report struct {
	errs   []error
	failed map[string]bool // keys of the table without a usable value
	more   int             // errors beyond maxReported

	misspelled map[string]bool // secrets that were refused for their spelling
	names      services.Names  // nil until a name is looked up
	readURL    func(raw string, s notifyconf.Service) error
}

func newReport() *report { return &report{failed: map[string]bool{}, misspelled: map[string]bool{}} }

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

// sound reports whether all those keys have valid values, so that they can be compared.
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

// amount is a number of things. An error shows it instead of the value.
type amount string

// exceeds reports too many things. It returns false.
func (p place) exceeds(n int, of string, most int) bool {
	return p.wrong(amount(fmt.Sprintf("%d %s", n, of)), fmt.Sprintf("at most %d", most))
}
