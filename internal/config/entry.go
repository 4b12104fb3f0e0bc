package config

import (
	"fmt"
	"maps"
	"slices"
)

// stringKeys returns a mapping with its keys as text: YAML allows others, and
// none of ours are.
func stringKeys(raw any) (map[string]any, bool) {
	switch m := raw.(type) {
	case map[string]any:
		return m, true
	case map[any]any:
		values := make(map[string]any, len(m))
		for k, v := range m {
			values[fmt.Sprint(k)] = v
		}
		return values, true
	}
	return nil, false
}

// entry is one mapping of a list, while it is read.
type entry struct {
	place  place
	values map[string]any
	ok     bool // nothing was wrong so far
}

// openEntry checks that raw is a mapping without unknown members.
func openEntry(p place, raw any, known ...string) (*entry, bool) {
	values, ok := stringKeys(raw)
	if !ok {
		return nil, p.wrong(raw, "a mapping with "+join(known, "and"))
	}
	e := &entry{place: p, values: values, ok: true}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(known, name) {
			p.unknown(name, values[name], known)
			e.ok = false
		}
	}
	return e, true
}

// required reads a member that must be there.
func required[T any](e *entry, name string, c codec[T]) T {
	v, ok := c.read(e.place.member(name), e.values[name])
	e.ok = e.ok && ok
	return v
}

// optional reads a member, or takes the fallback if it is not there.
func optional[T any](e *entry, name string, c codec[T], fallback T) T {
	if e.values[name] == nil {
		return fallback
	}
	return required(e, name, c)
}
