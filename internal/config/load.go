package config

import (
	"slices"

	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"nightporter/internal/machine"
	"nightporter/internal/notifyconf"
)

// Load reads the configuration: the defaults, and over them the file at path,
// the variables in environ ("NAME=value") whose names begin with NIGHTPORTER_,
// and the flags of AddFlags that were given. The file may be missing unless it
// was asked for explicitly. flags may be nil.
//
// A bad value is an *Error and a key that does not exist an *UnknownKeyError;
// all are reported, joined with errors.Join. A file that cannot be read or
// parsed is an error by itself.
func Load(path string, explicit bool, environ []string, flags *pflag.FlagSet, options ...Option) (*Config, error) {
	c, _, err := Examine(path, explicit, environ, flags, options...)
	return c, err
}

// Option changes how Load reads.
type Option func(*report)

// ReadURLs has read check each URL of notify.urls, whose form alone is checked otherwise.
func ReadURLs(read func(raw string, s notifyconf.Service) error) Option {
	return func(r *report) { r.readURL = read }
}

// Origins tells where the values of a configuration come from.
type Origins struct {
	File  string // that was read; empty: there was none
	stack *stack
}

// Of says where the value of a key comes from, such as "from --wake.attempts".
func (o *Origins) Of(path string) string { return o.stack.place(path).where() }

// Setting is where a value stands.
type Setting struct{ Key, Origin string }

// AddressesOf says where each address of the i-th machine stands, which is spec.
func (o *Origins) AddressesOf(i int, spec machine.Spec) []Setting {
	raw, _ := o.stack.merged.Get("machines").([]any)
	if i >= len(raw) {
		return nil
	}
	places := ipPlaces(o.stack.place("machines").entry(i), raw[i], &spec)
	settings := make([]Setting, len(places))
	for k, p := range places {
		settings[k] = Setting{p.path, p.where()}
	}
	return settings
}

// MACOf says where the MAC address of the i-th machine stands.
func (o *Origins) MACOf(i int) Setting {
	p := o.stack.place("machines").entry(i).member("mac")
	return Setting{p.path, p.where()}
}

// Examine is Load, and tells where the values come from.
func Examine(path string, explicit bool, environ []string, flags *pflag.FlagSet, options ...Option) (*Config, *Origins, error) {
	s := stack{table: newTable(), report: newReport(), merged: koanf.New(".")}
	for _, o := range options {
		o(s.report)
	}
	s.add(defaultsLayer(s.table))
	s.add(fileLayer(s.table, path, explicit, s.report))
	s.add(envLayer(s.table, environ, s.report))
	if flags != nil {
		s.add(flagLayer(s.table, flags, s.report))
	}
	if s.err != nil {
		return nil, nil, s.err
	}
	c := s.read()
	if err := s.report.err(); err != nil {
		return nil, nil, err
	}
	return c, &Origins{File: s.file(), stack: &s}, nil
}

// Default returns the configuration that holds when nothing is set.
func Default() *Config {
	t, c := newTable(), &Config{}
	for _, k := range t.keys {
		k.set(c, place{report: newReport(), key: k.path, path: k.path}, k.def)
	}
	return c
}

// stack is the layers, one over the other.
type stack struct {
	table  table
	report *report
	layers []layer
	merged *koanf.Koanf
	err    error // the first layer that could not be read at all
}

func (s *stack) add(l layer, err error) {
	if s.err == nil {
		s.err = err
	}
	if s.err == nil {
		s.layers = append(s.layers, l)
		s.err = s.merged.Merge(l.values)
	}
}

// read makes a Config of the merged layers. It is of use only if the report is
// empty afterwards.
func (s *stack) read() *Config {
	c := &Config{}
	for _, k := range s.table.keys {
		k.set(c, s.place(k.path), s.merged.Get(k.path))
	}
	s.relate(c)
	return c
}

// place says where the effective value of a key comes from.
func (s *stack) place(path string) place {
	k, _ := s.table.find(path)
	p := place{report: s.report, key: path, path: path, secret: k.secret != notSecret}
	if l, ok := s.source(path); ok {
		p.origin, p.line = l.origin(k), l.line
	}
	return p
}

// source returns the layer that the effective value of a key comes from.
func (s *stack) source(path string) (layer, bool) {
	for _, l := range slices.Backward(s.layers) {
		if l.values.Exists(path) {
			return l, true
		}
	}
	return layer{}, false
}

// file returns the path of the file that was read, or nothing.
func (s *stack) file() string {
	for _, l := range s.layers {
		if l.file != "" {
			return l.file
		}
	}
	return ""
}
