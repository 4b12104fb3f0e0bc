package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// parts is what the routes share.
type parts struct {
	opts        Options
	peers       peers
	changeLimit *changeLimit
	auth        *authorizer
	renderer    *renderer
	streams     *streams
	look        atomic.Pointer[Look]
	config      atomic.Pointer[ConfigState]
}

// newHandler joins all routes, and puts before them what holds for all.
func (s *parts) newHandler() (http.Handler, error) {
	mux, err := s.routes()
	if err != nil {
		return nil, err
	}
	// A page of another site must not wake or forget a machine through the browser of
	// an authorized user.
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, http.StatusForbidden, "cross-site request")
	}))
	return secure(guard.Handler(s.auth.rejectRebinding(mux))), nil
}

func (s *parts) routes() (*router, error) {
	opts := s.opts
	page, err := newPage(opts, s.look.Load, s.config.Load)
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	mux := &router{given: make(map[string]http.Handler), notFound: page.notFound}
	mux.addFunc("GET /{$}", s.renderer.buffer(page, textErrors()))
	if err := addFiles(mux); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	mux.add("GET /metrics", newMetrics(opts, s.renderer))
	mux.addFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) {
		text(w, http.StatusOK, "nightporter is healthy.")
	})
	mux.addFunc("GET /-/ready", func(w http.ResponseWriter, _ *http.Request) {
		if err := opts.Backend.Ready(); err != nil {
			text(w, http.StatusServiceUnavailable, "nightporter is not ready: "+err.Error())
			return
		}
		text(w, http.StatusOK, "nightporter is ready.")
	})
	(&api{
		backend: opts.Backend, log: limitLog(opts.Log), now: opts.Now, version: opts.Version, config: s.config.Load,
		changeLimit: s.changeLimit, auth: s.auth, renderer: s.renderer, streams: s.streams,
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

func newMetrics(opts Options, m *renderer) http.Handler {
	h := promhttp.HandlerFor(opts.Gatherer, promhttp.HandlerOpts{
		ErrorLog: scrapeLog{limitLog(opts.Log)},
		// One broken series must not hide all others: the error is logged, and
		// counted where there is a Registerer.
		ErrorHandling:     promhttp.ContinueOnError,
		Registry:          opts.Registerer,
		EnableOpenMetrics: true,
	})
	h = m.buffer(h, textErrors())
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
