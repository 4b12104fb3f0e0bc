// Package logtest collects in tests what is logged.
package logtest

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"nightporter/internal/waittest"
)

// An Entry is one line of a log.
type Entry struct {
	Level   slog.Level
	Message string
	Attrs   map[string]string // by key; a member of a group as "group.key"
	Text    string            // the line as slog.TextHandler writes it, with its newline
}

// Event returns the attribute that names the event.
func (e Entry) Event() string { return e.Attrs["event"] }

// A Log holds the lines of its loggers. It can be read while they write. The zero value
// is empty.
type Log struct {
	mu      sync.Mutex
	entries []Entry
}

// Logger returns a logger of all levels that writes to l.
func (l *Log) Logger() *slog.Logger { return l.LoggerAt(slog.LevelDebug) }

// LoggerAt returns a logger that writes to l what has the level or a higher one.
func (l *Log) LoggerAt(level slog.Leveler) *slog.Logger {
	line := new(strings.Builder)
	text := slog.NewTextHandler(line, &slog.HandlerOptions{Level: level})
	return slog.New(&handler{log: l, line: line, text: text})
}

// Entries returns all lines so far.
func (l *Log) Entries() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries)
}

// Events returns the lines of an event so far.
func (l *Log) Events(event string) []Entry {
	return slices.DeleteFunc(l.Entries(), func(e Entry) bool { return e.Event() != event })
}

// Lines returns the texts of the lines so far that contain text.
func (l *Log) Lines(text string) []string {
	var found []string
	for _, e := range l.Entries() {
		if strings.Contains(e.Text, text) {
			found = append(found, e.Text)
		}
	}
	return found
}

// String returns the texts of all lines so far.
func (l *Log) String() string { return strings.Join(l.Lines(""), "") }

// Contains reports whether text occurs in a line so far.
func (l *Log) Contains(text string) bool { return len(l.Lines(text)) > 0 }

// Wait waits for a line of an event and returns the first one. The test ends if there is
// none within waittest.Patience.
func (l *Log) Wait(tb testing.TB, event string) Entry {
	tb.Helper()
	var found []Entry
	waittest.Until(tb, "a log line with event="+event, func() bool {
		found = l.Events(event)
		return len(found) > 0
	})
	return found[0]
}

// handler is a slog.Handler that appends to a Log.
type handler struct {
	log  *Log
	line *strings.Builder // what text writes; guarded by the mutex of the log
	text slog.Handler

	attrs []keyed // of WithAttrs
	group string  // the groups that are open, each with a dot behind it
}

type keyed struct{ key, value string }

// Enabled implements slog.Handler.
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.text.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	h.log.mu.Lock()
	defer h.log.mu.Unlock()
	h.line.Reset()
	if err := h.text.Handle(ctx, r); err != nil {
		return err
	}
	attrs := h.attrs
	r.Attrs(func(a slog.Attr) bool {
		attrs = flatten(attrs, h.group, a)
		return true
	})
	e := Entry{Level: r.Level, Message: r.Message, Attrs: make(map[string]string), Text: h.line.String()}
	for _, a := range attrs {
		e.Attrs[a.key] = a.value
	}
	h.log.entries = append(h.log.entries, e)
	return nil
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.text = h.text.WithAttrs(attrs)
	for _, a := range attrs {
		next.attrs = flatten(next.attrs, h.group, a)
	}
	return &next
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	next := *h
	next.text, next.group = h.text.WithGroup(name), h.group+name+"."
	return &next
}

// flatten returns a copy of attrs with a appended, a group by its members.
func flatten(attrs []keyed, group string, a slog.Attr) []keyed {
	v := a.Value.Resolve()
	if v.Kind() != slog.KindGroup {
		return append(slices.Clip(attrs), keyed{group + a.Key, v.String()})
	}
	if a.Key != "" {
		group += a.Key + "."
	}
	for _, member := range v.Group() {
		attrs = flatten(attrs, group, member)
	}
	return attrs
}
