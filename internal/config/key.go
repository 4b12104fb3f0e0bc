package config

import "strings"

// key is one line of the table of keys.
type key struct {
	path      string
	help      string // one line, starts with a small letter, without a full stop at the end
	def       any    // the default, as a file would hold it
	noun      string // what the help of a flag calls a value; empty: neither a flag nor a variable
	restart   bool   // a change takes effect only after a restart
	secret    secretKind
	members   map[string]secretKind             // the secrets in the entries of a list
	notAsFlag bool                              // refused on the command line, which every user of the host can see
	text      func(string) any                  // converts text of the environment or of a flag
	set       func(c *Config, p place, raw any) // reads, checks and stores a value
	get       func(c *Config) any               // as a file would hold it, secrets included
	redact    func(any) any                     // replaces the secrets in the result of get; nil: there are none
}

// envPrefix begins the name of every environment variable.
const envPrefix = "NIGHTPORTER_"

func (k key) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(k.path, ".", "__"))
}

// field returns the key of one field of Config.
func field[T any](path string, def any, at func(*Config) *T, c codec[T], help string) key {
	return key{
		path: path, help: help, def: def, noun: c.noun, text: c.text,
		set: func(conf *Config, p place, raw any) {
			if v, ok := c.read(p, raw); ok {
				*at(conf) = v
			}
		},
		get: func(conf *Config) any { return c.show(*at(conf)) },
	}
}

func (k key) needsRestart() key {
	k.restart = true
	return k
}

// isSecret marks a text that is never shown.
func (k key) isSecret() key {
	k.secret = secretText
	k.redact = func(v any) any {
		if v == "" {
			return v
		}
		return redacted
	}
	return k
}

// fileOrEnvironment refuses a value on the command line.
func (k key) fileOrEnvironment() key {
	k.notAsFlag = true
	return k
}

// secretKind says whether a value is a secret, and how its spelling in a file is checked.
type secretKind uint8

const (
	notSecret  secretKind = iota
	secretForm            // a secret with a form, such as a URL: a comment cannot be part of it
	secretText            // any text: a comment behind it may be meant as part of it
)
