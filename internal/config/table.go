package config

import (
	"maps"
	"slices"
	"strings"
)

// table is the table of keys, indexed.
type table struct {
	keys        []key
	byPath      map[string]key
	sections    map[string]bool // "wake", since there is "wake.attempts"
	withSecrets map[string]bool // sections that have a secret
}

func newTable() table {
	t := table{keys: keys(), byPath: map[string]key{}, sections: map[string]bool{}, withSecrets: map[string]bool{}}
	for _, k := range t.keys {
		t.byPath[k.path] = k
		if section, _, ok := strings.Cut(k.path, "."); ok {
			t.sections[section] = true
			if k.secret != notSecret {
				t.withSecrets[section] = true
			}
		}
	}
	return t
}

func (t table) find(path string) (key, bool) {
	k, ok := t.byPath[path]
	return k, ok
}

// suggest returns the key or section that an unknown path was probably meant
// to be.
func (t table) suggest(path string) string {
	if _, ok := t.byPath[path]; ok { // "wake.attempts: 3" at the top of a file
		section, name, _ := strings.Cut(path, ".")
		return name + " below " + section
	}
	known := slices.Sorted(maps.Keys(t.byPath))
	if !strings.Contains(path, ".") {
		known = append(known, slices.Sorted(maps.Keys(t.sections))...)
	}
	return suggest(path, known)
}

// suggestVariable is suggest for the names of environment variables.
func suggestVariable(name string, known []string) string {
	lower := make([]string, len(known))
	for i, k := range known {
		lower[i] = variablePath(k)
	}
	if s := suggest(variablePath(name), lower); s != "" {
		return known[slices.Index(lower, s)]
	}
	return ""
}

// variablePath returns the path of the key that an environment variable is named
// after.
func variablePath(variable string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(variable, envPrefix), "__", "."))
}

// Key describes one key, for documents.
type Key struct {
	Path    string // such as "wake.attempts"
	Default string // as YAML on one line
	Help    string // one line
	Env     string // the environment variable; empty for a key that only a file can hold
	Restart bool   // a change takes effect only after a restart
}

// Keys returns every key, in the order in which the configuration is printed.
func Keys() []Key {
	var described []Key
	for _, k := range keys() {
		d := Key{Path: k.path, Default: oneLine(k.def), Help: k.help, Restart: k.restart}
		if k.noun != "" {
			d.Env = k.env()
		}
		described = append(described, d)
	}
	return described
}
