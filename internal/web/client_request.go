package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"nightporter/internal/machine"
)

// Limits on a porter that is asked.
const (
	answerTimeout = 10 * time.Second
	// dialTimeout is for the porter's address and the connection. It ends before
	// answerTimeout, whose error does not say which of both is missing.
	dialTimeout   = 5 * time.Second
	maxRedirects  = 3
	maxErrorBytes = 4 << 10
	maxEventBytes = 64 << 10 // the texts of an event are bounded, and far below
	maxListBytes  = MaxEvents * maxEventBytes
)

// apiRequest is a request to a porter.
type apiRequest struct {
	method string
	path   []string // below /api/v1, each part unescaped
	query  string
	accept string // the one media type of an answer
	want   int    // its status
	failed string // what is said if there is no such answer
	token  bool   // goes with it
	body   any    // sent as JSON; nil: none is
}

// encode returns the body of a request.
func (q *apiRequest) encode() (io.Reader, error) {
	if q.body == nil {
		return http.NoBody, nil
	}
	b, err := json.Marshal(q.body)
	return bytes.NewReader(b), err
}

func (q EventQuery) apiRequest(accept string) apiRequest {
	return apiRequest{
		method: http.MethodGet, path: []string{"events"}, query: q.encode(),
		accept: accept, want: http.StatusOK, failed: "no events",
	}
}

// asKept returns a name as the porter keeps it: a terminal may spell "é" in two characters.
func asKept(name string) string {
	if kept, err := machine.ParseName(name); err == nil {
		return kept
	}
	return name // of before a name had to be allowed
}

// jsonType is the media type of all answers but streams.
const jsonType = "application/json"

// target is the porter that a Client calls.
type target struct {
	base  *url.URL
	token string // the value of its http.token; empty: none
}

// failed says which porter it was, without the password.
func (t target) failed(what string, err error) error {
	return fmt.Errorf("%s: %s: %w", t.base.Redacted(), what, err)
}
