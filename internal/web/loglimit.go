package web

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// The log takes this much of one kind of line that clients can cause: they must not
// fill the disk, nor push other lines out of the journal.
const (
	logBurst    = 3
	logInterval = 20 * time.Second
)

// limitedHandler is a slog.Handler that leaves out most lines when there are many. The
// next line has the number of those left out.
type limitedHandler struct {
	slog.Handler
	shared *logLimit
}

type logLimit struct {
	limiter  *rate.Limiter
	unlogged atomic.Int64
}

// limitLog returns log with a limit of its own.
func limitLog(log *slog.Logger) *slog.Logger {
	return slog.New(&limitedHandler{log.Handler(), &logLimit{limiter: rate.NewLimiter(rate.Every(logInterval), logBurst)}})
}

// Handle implements slog.Handler.
func (q *limitedHandler) Handle(ctx context.Context, r slog.Record) error {
	if !q.shared.limiter.Allow() {
		q.shared.unlogged.Add(1)
		return nil
	}
	if n := q.shared.unlogged.Swap(0); n > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int64("unlogged", n))
	}
	return q.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (q *limitedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &limitedHandler{q.Handler.WithAttrs(attrs), q.shared}
}

// WithGroup implements slog.Handler.
func (q *limitedHandler) WithGroup(name string) slog.Handler {
	return &limitedHandler{q.Handler.WithGroup(name), q.shared}
}

// serverLog takes the lines of http.Server, which clients cause.
type serverLog struct{ handshakes, others *slog.Logger }

// Write implements io.Writer.
func (l serverLog) Write(line []byte) (int, error) {
	message := strings.TrimSpace(string(line))
	if reason, ok := strings.CutPrefix(message, "http: TLS handshake error "); ok {
		l.handshakes.Debug("TLS handshake failed", "event", "handshake_failed", "err", reason)
	} else {
		l.others.Warn("HTTP server error", "event", "http_failed", "err", message)
	}
	return len(line), nil
}
