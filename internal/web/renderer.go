package web

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// Limits on answers that take work to make, and memory until they are read.
const (
	renderTimeout = 10 * time.Second // as long as Prometheus waits for a scrape by default
	maxRendering  = 3                // at once
	maxUnread     = 4                // of one source
)

// renderer renders answers in memory, a few at a time. A client that reads its answer
// slowly does not block the next one.
type renderer struct {
	peers     peers
	rendering *turns // one at a time for one source
	unread    *turns
}

func newRenderer(p peers) *renderer {
	return &renderer{
		peers: p, rendering: newTurns(1, maxRendering),
		// In all there are no more than requests.
		unread: newTurns(maxUnread, 2*maxConnections*maxRequests),
	}
}

// errorFormat is how an answer says that it was not made.
type errorFormat struct {
	contentType string
	refuse      func(w http.ResponseWriter, status int, message string)
	late        string // the body, in full
}

const lateMessage = "the response was not ready in time: try again later"

func textErrors() errorFormat {
	return errorFormat{"text/plain; charset=utf-8", text, lateMessage + "\n"}
}

func jsonErrors() errorFormat {
	return errorFormat{"application/json", writeError, `{"error":"` + lateMessage + `"}` + "\n"}
}

// buffer wraps next: the answer is rendered in memory, and gets 503 if that takes too
// long.
func (m *renderer) buffer(next http.Handler, in errorFormat) http.HandlerFunc {
	made := http.TimeoutHandler(m.waitTurn(next, in), renderTimeout, in.late)
	return func(w http.ResponseWriter, r *http.Request) {
		source := m.peers.ofRequest(r).source
		ctx, cancel := context.WithTimeout(r.Context(), renderTimeout)
		end, err := m.unread.take(ctx, source)
		cancel()
		if err != nil {
			w.Header().Set("Retry-After", strconv.Itoa(int(renderTimeout/time.Second)))
			in.refuse(w, http.StatusServiceUnavailable,
				source.String()+" has not read its last responses (limit "+strconv.Itoa(maxUnread)+")")
			return
		}
		defer end()
		w.Header().Set("Content-Type", in.contentType) // of an answer that is late
		made.ServeHTTP(w, r)
	}
}

// waitTurn is next when it is the client's turn.
func (m *renderer) waitTurn(next http.Handler, in errorFormat) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// After an error the answer is late already, whether or not it is this that says so.
		if m.inTurn(r, func() { next.ServeHTTP(w, r) }) != nil {
			in.refuse(w, http.StatusServiceUnavailable, lateMessage)
		}
	})
}

// inTurn calls do when it is the turn of the client of r.
func (m *renderer) inTurn(r *http.Request, do func()) error {
	ctx, cancel := context.WithTimeout(r.Context(), renderTimeout)
	defer cancel()
	end, err := m.rendering.take(ctx, m.peers.ofRequest(r).source)
	if err != nil {
		return err
	}
	defer end()
	do()
	return nil
}
