package web

import (
	"fmt"
	"net/url"
	"strconv"
)

// MaxEvents is how many events one answer has at most: all that the journal keeps.
const MaxEvents = 1000

// defaultEvents is how many it has if nothing is said.
const defaultEvents = 100

// eventStream is the media type of server-sent events.
const eventStream = "text/event-stream"

// EventQuery selects events.
type EventQuery struct {
	// Since asks for those with a Seq above it; nil: from the first. To follow,
	// nil means nothing of what has been.
	Since   *uint64
	Machine string // only those of the machine of that name; empty: of all
	Limit   int    // only the newest of them, 1 to 1,000; 0: as the server likes
}

// parseEventQuery parses the query of a URL. Its errors are sent to the client.
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
