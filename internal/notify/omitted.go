package notify

import (
	"fmt"
	"slices"
	"strings"

	"nightporter/internal/journal"
)

// maxNamed bounds how many machines a message names.
const maxNamed = 8

// omitted is what nobody was told of, because of the rate.
type omitted struct {
	kinds []tally // in the order in which they came
	total int
}

type tally struct {
	kind  journal.Kind
	n     int
	first []journal.Event // of the first machines
}

func (o *omitted) add(e journal.Event) {
	o.total++
	i := slices.IndexFunc(o.kinds, func(t tally) bool { return t.kind == e.Kind })
	if i < 0 {
		i = len(o.kinds)
		if e.Kind == journal.Failed {
			i = 0 // what matters most comes first
		}
		o.kinds = slices.Insert(o.kinds, i, tally{kind: e.Kind})
	}
	t := &o.kinds[i]
	t.n++
	if len(t.first) <= maxNamed && !slices.ContainsFunc(t.first, func(f journal.Event) bool { return f.Machine == e.Machine }) {
		t.first = append(t.first, e)
	}
}

// first returns the first events of each kind.
func (o *omitted) first() (events []journal.Event) {
	for _, t := range o.kinds {
		events = append(events, t.first...)
	}
	return events
}

// String says how many events of each kind there were, and of which machines.
func (o *omitted) String() string {
	parts := make([]string, len(o.kinds))
	for i, t := range o.kinds {
		parts[i] = fmt.Sprintf("%d %s", t.n, strings.ReplaceAll(string(t.kind), "_", " "))
		var names []string
		for j, e := range t.first {
			switch {
			case j == maxNamed:
				names = append(names, "and others")
			case e.Machine != "":
				names = append(names, plain(e.Machine))
			}
		}
		if len(names) > 0 {
			parts[i] += " (" + strings.Join(names, ", ") + ")"
		}
	}
	return strings.Join(parts, "; ")
}

// message tells all of it.
func (o *omitted) message() Message {
	return Message{
		Title: fmt.Sprintf("nightporter: %d more events", o.total),
		Text:  fmt.Sprintf("More happened than notify.rate allows to tell one by one: %s. All of it: nightporter events", o),
	}
}

// appendTo tells it at the end of another message.
func (o *omitted) appendTo(m Message) Message {
	if o.total > 0 {
		m.Text += fmt.Sprintf("\nBefore this, not told because of notify.rate: %s.", o)
	}
	return m
}
