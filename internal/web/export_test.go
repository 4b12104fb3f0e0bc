package web

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"time"

	"nightporter/internal/machine"
)

// UseListener has Run serve l instead of listening by itself.
func (s *Server) UseListener(l net.Listener) { s.listeners = []net.Listener{l} }

// Routes returns every route, as in "GET /metrics".
func (s *Server) Routes() ([]string, error) {
	mux, err := s.routes()
	if err != nil {
		return nil, err
	}
	var routes []string
	for pattern, h := range mux.given {
		served, ok := h.(methods)
		if !ok {
			routes = append(routes, strings.TrimSuffix(pattern, "{$}"))
			continue
		}
		for method := range served {
			routes = append(routes, method+" "+pattern)
		}
	}
	return routes, nil
}

// FillStreams has as many clients follow as may.
func (s *Server) FillStreams() {
	from := s.peers.ofAddr(netip.MustParseAddr("192.0.2.1"))
	for s.streams.slots.take(from, busy, func() {}) != nil {
	}
}

// LeaveUnread has the client of httptest not read its last answers.
func (s *Server) LeaveUnread() {
	from := s.peers.ofAddr(netip.MustParseAddr("192.0.2.1"))
	for range maxUnread {
		if _, err := s.renderer.unread.take(context.Background(), from.source); err != nil {
			panic(err) // there is room
		}
	}
}

// Span is how the page shows how long something took.
func Span(d time.Duration) string { return span(d) }

// Moment is how the page shows when something was.
func Moment(t, now time.Time) (shown, full, ago string) {
	m := momentOf(t, now)
	return m.Shown, m.Full, m.Ago
}

// Naturally is the order of names.
func Naturally(a, b string) int { return naturally(a, b) }

// What other parts of the program tell of a machine, on the page.
type (
	Told      = detailSources
	WhyLine   = whyLine
	StripDay  = stripDay
	StripSpan = stripSpan
	WakesOf   = clientWakes
	PauseCell = pauseCell
)

// StripRows is how days are shown.
func StripRows(days []StripDay) []stripRow { return stripRows(days) }

// PausedUntil is how a pause is shown.
func PausedUntil(t, now time.Time) *PauseCell {
	m := momentOf(t, now)
	return &PauseCell{Until: &m}
}

// RowHTML returns a row as the page has it.
func RowHTML(s *Server, m *machine.Status, t Told, now time.Time) (string, error) {
	p, err := newPage(s.opts, s.look.Load, s.config.Load)
	if err != nil {
		return "", err
	}
	r := rowOf(m, t, s.look.Load(), time.Time{}, now)
	var b strings.Builder
	err = p.template.ExecuteTemplate(&b, "row.html", &r)
	return b.String(), err
}
