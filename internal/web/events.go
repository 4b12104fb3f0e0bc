package web

import (
	"cmp"
	"net/http"

	"nightporter/internal/journal"
)

// events has the client follow the events if it accepts a stream, and is list for
// others.
func (a *api) events(list http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if accepts(r, eventStream) {
			a.follow(w, r)
			return
		}
		list(w, r)
	}
}

// past answers with events that have been, oldest first.
func (a *api) past(w http.ResponseWriter, r *http.Request) {
	q, err := parseEventQuery(r.URL.RawQuery)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	found := q.history(a.backend, cmp.Or(q.Limit, defaultEvents))
	if found == nil {
		found = []journal.Event{} // null is no list
	}
	a.write(w, http.StatusOK, found)
}

func (q EventQuery) history(b Backend, limit int) []journal.Event {
	var since uint64
	if q.Since != nil {
		since = *q.Since
	}
	return b.Events(since, q.Machine, limit)
}
