package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"nightporter/internal/journal"
)

// follow sends events as they happen, as server-sent events (the HTML standard,
// section 9.2), until the client goes or the server stops.
func (a *api) follow(w http.ResponseWriter, r *http.Request) {
	q, err := parseEventQuery(r.URL.RawQuery)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	if !sameOrigin(r) {
		writeError(w, http.StatusForbidden, "a page of another site may not follow the events")
		return
	}
	// A browser that connects again names the last event that it has got. The
	// address it asks for is still that of the first time.
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		if q.Since, err = parseSeq("Last-Event-ID", id); err != nil {
			writeError(w, http.StatusBadRequest, err.Error())
			return
		}
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	from := a.streams.peers.ofRequest(r)
	held := a.streams.slots.take(from, busy, cancel)
	if held == nil {
		w.Header().Set("Retry-After", "60")
		writeError(w, http.StatusServiceUnavailable, fmt.Sprintf(
			"too many event streams (limit %d for %s, %d in all): try again later", eachStreams, from.source, maxStreams))
		return
	}
	defer held.release()
	defer slotOf(r).exempt()()
	control := http.NewResponseController(w)
	// The server's own limit is for answers that end.
	err = control.SetWriteDeadline(time.Time{})
	if errors.Is(err, net.ErrClosed) {
		return // the client went away
	}
	if err != nil {
		a.log.Error("events cannot be followed", "event", "stream_failed", "err", err)
		writeError(w, http.StatusInternalServerError, "this connection cannot carry an event stream")
		return
	}
	// What is left of the answer when the stream ends must not wait for ever either.
	defer func() { _ = control.SetWriteDeadline(time.Now().Add(streamTimeout)) }()
	header := w.Header()
	header.Set("Content-Type", eventStream)
	header.Set("X-Accel-Buffering", "no") // or nginx would keep events back
	if r.Method == http.MethodHead {
		return
	}
	s := &stream{w: w, control: control, backend: a.backend, machine: q.Machine}
	// The rest is the client's going away, or too slow to be followed: it knows
	// what it has got, and may ask for what came after.
	if err := s.run(ctx, q, a.streams.stopped); err != nil {
		a.streams.log.Debug("a stream of events ended", "event", "stream_ended", "client", r.RemoteAddr, "err", err)
	}
}

// stream is the answer to one client that follows the events.
type stream struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	backend  Backend
	machine  string
	sent     uint64 // Seq of the newest event of the history
	received uint64 // Seq of the last event that happened meanwhile; 0 before the first
}

// sameOrigin reports whether a request comes from a page of our own, or from a
// program. Another page could read nothing, but take the slots of its visitor.
// Browsers say so in Sec-Fetch-Site where they trust the connection, else in Origin.
func sameOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin" || site == "none"
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host == r.Host
}

var errTooSlow = errors.New("the client is so far behind that events are forgotten")

func (s *stream) run(ctx context.Context, q EventQuery, stopped <-chan struct{}) error {
	// First follow, then look back: what happens in between is seen twice and sent
	// once. The other way round it would be missed.
	news := s.backend.Follow(ctx)
	var past []journal.Event
	if q.Since != nil {
		past = q.history(s.backend, cmp.Or(q.Limit, MaxEvents))
	}
	if err := s.flush(nil); err != nil { // the client learns that it follows from now on
		return err
	}
	for _, e := range past {
		if err := s.send(e); err != nil {
			return err
		}
		s.sent = e.Seq
	}
	return s.sendNew(ctx, news, stopped)
}

// sendNew sends the events from now on.
func (s *stream) sendNew(ctx context.Context, news <-chan journal.Event, stopped <-chan struct{}) error {
	silence := time.NewTicker(keepAlive)
	defer silence.Stop()
	behind := false // events may have been left out
	for {
		var err error
		select {
		case e, ok := <-news:
			if !ok {
				return context.Cause(ctx)
			}
			// Events are left out while there is no room, which there was not before
			// this one was taken; maybe nothing happens after them.
			behind = behind || len(news) >= cap(news)-1
			err = s.receive(e)
			if err == nil && behind && len(news) == 0 {
				behind = false
				err = s.catchUp()
			}
		case <-silence.C:
			err = s.flush([]byte(": keep-alive\n\n"))
		case <-stopped:
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// receive sends an event of the Backend, after looking up missing earlier ones.
func (s *stream) receive(e journal.Event) error {
	if s.received != 0 && e.Seq > s.received+1 {
		if err := s.catchUp(); err != nil {
			return err
		}
		if e.Seq > s.received+1 {
			return errTooSlow
		}
	}
	return s.relay(e)
}

// catchUp sends the events that the channel dropped because this stream was too slow.
func (s *stream) catchUp() error {
	missing := s.backend.Events(s.received, "", MaxEvents)
	if len(missing) > 0 && missing[0].Seq > s.received+1 {
		return errTooSlow
	}
	for _, e := range missing {
		if err := s.relay(e); err != nil {
			return err
		}
	}
	return nil
}

// relay sends e if the client asked for it and has not got it.
func (s *stream) relay(e journal.Event) error {
	if e.Seq <= s.received {
		return nil
	}
	s.received = e.Seq
	if e.Seq <= s.sent || s.machine != "" && e.Machine != s.machine {
		return nil
	}
	return s.send(e)
}

func (s *stream) send(e journal.Event) error {
	data, err := json.Marshal(e) // in one line
	if err != nil {
		return err
	}
	return s.flush(fmt.Appendf(nil, "id: %d\ndata: %s\n\n", e.Seq, data))
}

// flush sends b now. A client that does not take it is cut off.
func (s *stream) flush(b []byte) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(streamTimeout)); err != nil {
		return err
	}
	if _, err := s.w.Write(b); err != nil {
		return err
	}
	if err := s.control.Flush(); err != nil {
		return err
	}
	// In HTTP/2 a deadline ends the stream also when nothing is being written.
	return s.control.SetWriteDeadline(time.Time{})
}
