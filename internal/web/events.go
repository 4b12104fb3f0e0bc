package web

import (
	"cmp"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"nightporter/internal/journal"
)

// MaxEvents is how many events one answer has at most: all that the journal keeps.
const MaxEvents = 1000

// defaultEvents is how many it has if nothing is said.
const defaultEvents = 100

// eventStream is the media type of server-sent events.
const eventStream = "text/event-stream"

// EventQuery says which events are asked for.
type EventQuery struct {
	// Since asks for those with a Seq above it; nil: from the first. To follow,
	// nil means nothing of what has been.
	Since   *uint64
	Machine string // only those of the machine of that name; empty: of all
	Limit   int    // only the newest of them, 1 to 1,000; 0: as the server likes
}

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
	found := a.history(q, cmp.Or(q.Limit, defaultEvents))
	if found == nil {
		found = []journal.Event{} // null is no list
	}
	a.write(w, http.StatusOK, found)
}

func (a *api) history(q EventQuery, limit int) []journal.Event {
	var since uint64
	if q.Since != nil {
		since = *q.Since
	}
	return a.house.Events(since, q.Machine, limit)
}

// parseEventQuery reads the part of an address after the "?". Its errors are
// told to the client.
func parseEventQuery(raw string) (EventQuery, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return EventQuery{}, fmt.Errorf("query: found %q, expected name=value, joined by &", raw)
	}
	q := EventQuery{Machine: values.Get("machine")}
	if values.Has("since") {
		if q.Since, err = parseSeq("since", values.Get("since")); err != nil {
			return EventQuery{}, err
		}
	}
	if values.Has("limit") {
		if q.Limit, err = strconv.Atoi(values.Get("limit")); err != nil || q.Limit < 1 || q.Limit > MaxEvents {
			return EventQuery{}, fmt.Errorf("limit: found %q, expected 1 to %d", values.Get("limit"), MaxEvents)
		}
	}
	return q, nil
}

func parseSeq(field, s string) (*uint64, error) {
	seq, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%s: found %q, expected the seq of an event, or 0", field, s)
	}
	return &seq, nil
}

// encode is the inverse of parseEventQuery.
func (q EventQuery) encode() string {
	values := make(url.Values)
	if q.Since != nil {
		values.Set("since", strconv.FormatUint(*q.Since, 10))
	}
	if q.Machine != "" {
		values.Set("machine", asKept(q.Machine))
	}
	if q.Limit != 0 {
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	return values.Encode()
}

// accepts reports whether r names a media type among those it accepts. One that
// is meant by */* only does not count.
func accepts(r *http.Request, mediaType string) bool {
	for _, line := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(line, ",") {
			if found, _, err := mime.ParseMediaType(part); err == nil && found == mediaType {
				return true
			}
		}
	}
	return false
}
