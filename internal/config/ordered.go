package config

import "strings"

// ordered is a mapping that keeps its order.
type ordered []member

type member struct {
	name  string
	value any
}

// put adds a value at a path of one or two names. Keys of one section stand
// side by side in the table.
func (o ordered) put(path string, value any) ordered {
	section, name, nested := strings.Cut(path, ".")
	if !nested {
		return append(o, member{path, value})
	}
	last := len(o) - 1
	if last < 0 || o[last].name != section {
		o, last = append(o, member{section, ordered{}}), last+1
	}
	o[last].value = append(o[last].value.(ordered), member{name, value})
	return o
}
