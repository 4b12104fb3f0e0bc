package notify

import (
	"fmt"
	"slices"
	"strings"

	"nightporter/internal/journal"
)

// maxNamed bounds how many machines a message names.
const maxNamed = 8

// summary is the events that got no message of their own, because of the rate.
type summary struct {
	kinds []tally // failed wakes first, then in the order in which they came
	total int
}

type tally struct {
	kind  journal.Kind
	n     int
	first []journal.Event // of the first machines
}

func (s *summary) add(e journal.Event) {
	s.total++
	i := slices.IndexFunc(s.kinds, func(t tally) bool { return t.kind == e.Kind })
	if i < 0 {
		i = len(s.kinds)
		if e.Kind == journal.Failed {
			i = 0 // most important
		}
		s.kinds = slices.Insert(s.kinds, i, tally{kind: e.Kind})
	}
	t := &s.kinds[i]
	t.n++
	if len(t.first) <= maxNamed && !slices.ContainsFunc(t.first, func(f journal.Event) bool { return f.Machine == e.Machine }) {
		t.first = append(t.first, e)
	}
}

// first returns the first events of each kind.
func (s *summary) first() (events []journal.Event) {
	for _, t := range s.kinds {
		events = append(events, t.first...)
	}
	return events
}

// String returns the number of events of each kind, and their machines.
func (s *summary) String() string {
	parts := make([]string, len(s.kinds))
	for i, t := range s.kinds {
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

// message returns the summary as a message of its own.
func (s *summary) message() Message {
	return Message{
		Title: fmt.Sprintf("nightporter: %d more events", s.total),
		Text:  fmt.Sprintf("More events than notify.rate allows: %s. To list all events: nightporter events", s),
	}
}

// appendTo adds the summary to the end of another message.
func (s *summary) appendTo(m Message) Message {
	if s.total > 0 {
		m.Text += fmt.Sprintf("\nEarlier events, not sent because of notify.rate: %s.", s)
	}
	return m
}
