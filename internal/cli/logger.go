package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"syscall"

	"nightporter/internal/config"
)

// newLogger returns a logger that writes to w. The journal of systemd records the time of
// each line itself, and reads the priority from the prefix "<N>" (sd-daemon(3)).
func newLogger(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	if !isJournalStream(w, os.Getenv("JOURNAL_STREAM")) {
		return slog.New(handlerOf(w, format, opts))
	}
	if format == config.FormatText {
		opts.ReplaceAttr = withoutTime
	}
	marked := &priorityWriter{to: w}
	return slog.New(journalHandler{handlerOf(marked, format, opts), marked})
}

func handlerOf(w io.Writer, format string, opts *slog.HandlerOptions) slog.Handler {
	if format == config.FormatJSON {
		return slog.NewJSONHandler(w, opts)
	}
	return slog.NewTextHandler(w, opts)
}

func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime && len(groups) == 0 {
		return slog.Attr{}
	}
	return a
}

// isJournalStream reports whether w is connected to the journal: stream has the device and
// the inode of that connection (systemd.exec(5), $JOURNAL_STREAM).
func isJournalStream(w io.Writer, stream string) bool {
	f, isFile := w.(*os.File)
	if !isFile || stream == "" {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stream == fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}

// The priorities of syslog (RFC 5424 section 6.2.1).
const (
	priorityError   = 3
	priorityWarning = 4
	priorityInfo    = 6
	priorityDebug   = 7
)

func priorityOf(l slog.Level) int {
	switch {
	case l >= slog.LevelError:
		return priorityError
	case l >= slog.LevelWarn:
		return priorityWarning
	case l >= slog.LevelInfo:
		return priorityInfo
	}
	return priorityDebug
}

// priorityWriter prefixes each line with its priority.
type priorityWriter struct {
	mu       sync.Mutex
	to       io.Writer
	priority int
}

// Write takes one line, as slog's handlers write them.
func (p *priorityWriter) Write(line []byte) (int, error) {
	marked := append(fmt.Appendf(nil, "<%d>", p.priority), line...)
	if _, err := p.to.Write(marked); err != nil {
		return 0, err
	}
	return len(line), nil
}

// journalHandler sets the priority of its writer for each record.
type journalHandler struct {
	slog.Handler
	writer *priorityWriter
}

// Handle implements slog.Handler.
func (h journalHandler) Handle(ctx context.Context, r slog.Record) error {
	h.writer.mu.Lock()
	defer h.writer.mu.Unlock()
	h.writer.priority = priorityOf(r.Level)
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return journalHandler{h.Handler.WithAttrs(attrs), h.writer}
}

// WithGroup implements slog.Handler.
func (h journalHandler) WithGroup(name string) slog.Handler {
	return journalHandler{h.Handler.WithGroup(name), h.writer}
}
