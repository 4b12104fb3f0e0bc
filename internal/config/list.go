package config

import "strings"

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

// listOf reads a list without repetitions; a single value is a list of one. As text
// its entries are separated by commas.
func listOf[T comparable](entry codec[T]) codec[[]T] {
	return codec[[]T]{
		noun: entry.noun + ",...",
		text: func(s string) any { return splitText(s, entry.text) },
		read: func(p place, raw any) ([]T, bool) { return readList(p, raw, entry) },
		show: func(vs []T) any {
			shown := make([]any, len(vs))
			for i, v := range vs {
				shown[i] = entry.show(v)
			}
			return shown
		},
	}
}

func splitText(s string, entry func(string) any) any {
	list := []any{}
	if strings.TrimSpace(s) == "" {
		return list
	}
	for part := range strings.SplitSeq(s, ",") {
		list = append(list, entry(strings.TrimSpace(part)))
	}
	return list
}

func readList[T comparable](p place, raw any, entry codec[T]) ([]T, bool) {
	list, at, ok := items(p, raw)
	if !ok {
		return nil, p.wrong(raw, "a list, such as [a, b]")
	}
	var vs []T
	seen := make(map[T]int, len(list))
	for i, r := range list {
		v, good := entry.read(at(i), r)
		if !good {
			ok = false
			continue
		}
		if first, twice := seen[v]; twice {
			ok = at(i).wrong(r, "no entry twice: "+at(first).path+" is the same")
			continue
		}
		seen[v] = i
		vs = append(vs, v)
	}
	return vs, ok
}

// items returns the entries of a list, and where each stands. A single value is a list
// of one, unless it is text with a comma, which may be meant as several.
func items(p place, raw any) (list []any, at func(int) place, ok bool) {
	switch v := raw.(type) {
	case []any:
		return v, p.entry, true
	case string:
		ok = !strings.Contains(v, ",")
	case int, int64:
		ok = true
	}
	return []any{raw}, func(int) place { return p }, ok
}

// notEmpty refuses the empty list.
func notEmpty[T any](c codec[[]T], expected string) codec[[]T] {
	read := c.read
	c.read = func(p place, raw any) ([]T, bool) {
		vs, ok := read(p, raw)
		if ok && len(vs) == 0 {
			ok = p.wrong(raw, expected)
		}
		return vs, ok
	}
	return c
}
