package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// newHandler joins all routes, and puts before them what holds for all.
func (s *Server) newHandler() (http.Handler, error) {
	mux, err := s.routes()
	if err != nil {
		return nil, err
	}
	// A page of another site must not be able to wake or forget a machine
	// through the browser of somebody who may.
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, http.StatusForbidden, "a request from another site")
	}))
	return secure(guard.Handler(s.gate.withoutRebinding(mux))), nil
}

// router is a mux that remembers what it was given, which is how a test finds all
// routes.
type router struct {
	http.ServeMux
	given    map[string]http.Handler // by pattern, as in "GET /metrics"
	notFound http.HandlerFunc        // for people
}

// ServeHTTP implements http.Handler.
func (m *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && accepts(r, "text/html") {
		if _, pattern := m.Handler(r); pattern == "" {
			m.notFound(w, r)
			return
		}
	}
	m.ServeMux.ServeHTTP(w, r)
}

func (m *router) add(pattern string, h http.Handler) {
	m.Handle(pattern, h)
	m.given[pattern] = h
}

func (m *router) addFunc(pattern string, h http.HandlerFunc) { m.add(pattern, h) }

func (s *Server) routes() (*router, error) {
	opts := s.opts
	page, err := s.newPage()
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	mux := &router{given: make(map[string]http.Handler), notFound: page.notFound}
	mux.addFunc("GET /{$}", s.maker.of(page, inText()))
	if err := addFiles(mux); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	mux.add("GET /metrics", newMetrics(opts, s.maker))
	mux.addFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) {
		text(w, http.StatusOK, "nightporter is healthy.")
	})
	mux.addFunc("GET /-/ready", func(w http.ResponseWriter, _ *http.Request) {
		if err := opts.House.Ready(); err != nil {
			text(w, http.StatusServiceUnavailable, "nightporter is not ready: "+err.Error())
			return
		}
		text(w, http.StatusOK, "nightporter is ready.")
	})
	(&api{
		house: opts.House, log: quietly(opts.Log), now: opts.Now, version: opts.Version, config: s.config.Load,
		ration: s.ration, gate: s.gate, maker: s.maker, streams: s.streams,
	}).addTo(mux)
	return mux, nil
}

// policy is what browsers may do with an answer; it ends with who may show it in a frame.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; " +
	"manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors "

// secure sets the headers that keep a page from doing anything but what it is
// for. A header that the operator set in the toolkit's file is left as it is.
func secure(next http.Handler) http.Handler {
	headers := [...][2]string{
		{"Content-Security-Policy", policy + "'none'"},
		{"X-Content-Type-Options", "nosniff"},
		{"Referrer-Policy", "no-referrer"},
		{"Cache-Control", "no-store"},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if own := "Content-Security-Policy"; r.URL.Path == "/" && w.Header().Get(own) == "" {
			// Home Assistant shows the page in a frame, under a path of its own origin.
			w.Header().Set(own, policy+"'self'")
		}
		for _, h := range headers {
			if w.Header().Get(h[0]) == "" {
				w.Header().Set(h[0], h[1])
			}
		}
		// A request may have had a Content-Length as well, which net/http takes away. What
		// a proxy before us took for its body must not be the next request: the connection
		// has to end (RFC 9112 section 6.3).
		if len(r.TransferEncoding) > 0 {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

func newMetrics(opts Options, m *maker) http.Handler {
	h := promhttp.HandlerFor(opts.Gatherer, promhttp.HandlerOpts{
		ErrorLog: scrapeLog{quietly(opts.Log)},
		// One broken series must not hide all others: the error is logged, and
		// counted where there is a Registerer.
		ErrorHandling:     promhttp.ContinueOnError,
		Registry:          opts.Registerer,
		EnableOpenMetrics: true,
	})
	h = m.of(h, inText())
	if opts.Registerer == nil {
		return h
	}
	return promhttp.InstrumentMetricHandler(opts.Registerer, h)
}

// scrapeLog is promhttp's logger: its messages of many lines become one.
type scrapeLog struct{ log *slog.Logger }

func (l scrapeLog) Println(v ...any) {
	for _, part := range v {
		if err, ok := part.(error); ok && errors.Is(err, context.Canceled) {
			return // the client went away
		}
	}
	message := strings.Join(strings.Fields(fmt.Sprintln(v...)), " ")
	l.log.Error("scrape failed", "event", "scrape_failed", "err", message)
}

func text(w http.ResponseWriter, status int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintln(w, line)
}

// rfc3339 is how times are shown: to the second, in UTC.
func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }
