package labdaemon

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// Entry is one line of the daemon's log.
type Entry struct {
	Time    time.Time
	Level   string
	Message string
	Fields  map[string]any
}

// Field returns a field as text, and nothing where there is none.
func (e Entry) Field(name string) string {
	if v, ok := e.Fields[name]; ok {
		return fmt.Sprint(v)
	}
	return ""
}

// Duration returns a field that the daemon logged as a duration.
func (e Entry) Duration(name string) time.Duration {
	ns, _ := e.Fields[name].(float64) // slog writes durations in nanoseconds
	return time.Duration(ns)
}

// Log collects what a daemon writes, and lets a reader wait for it.
type Log struct {
	also io.Writer // everything is copied here; may be nil

	mu      sync.Mutex
	text    bytes.Buffer
	partial []byte
	entries []Entry
	more    chan struct{} // closed and renewed at every entry
	ended   bool
}

func newLog(also io.Writer) *Log { return &Log{also: also, more: make(chan struct{})} }

// Write takes the daemon's output.
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(b)
	if l.also != nil {
		_, _ = l.also.Write(b)
	}
	l.partial = append(l.partial, b...)
	for {
		line, rest, whole := bytes.Cut(l.partial, []byte("\n"))
		if !whole {
			return len(b), nil
		}
		l.partial = rest
		if e, ok := parse(line); ok {
			l.entries = append(l.entries, e)
		}
		close(l.more)
		l.more = make(chan struct{})
	}
}

func (l *Log) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	close(l.more)
	l.more = make(chan struct{})
}

func parse(line []byte) (Entry, bool) {
	fields := make(map[string]any)
	if json.Unmarshal(line, &fields) != nil {
		return Entry{}, false
	}
	e := Entry{Fields: fields}
	e.Message, _ = fields["msg"].(string)
	e.Level, _ = fields["level"].(string)
	if at, ok := fields["time"].(string); ok {
		e.Time, _ = time.Parse(time.RFC3339Nano, at)
	}
	return e, true
}

// Text returns everything the daemon wrote.
func (l *Log) Text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Wait returns the first entry, past or future, that match accepts. after is
// how many entries to pass over; see Len.
func (l *Log) Wait(ctx context.Context, after int, match func(Entry) bool) (Entry, error) {
	for seen := after; ; {
		l.mu.Lock()
		entries, more, ended := l.entries, l.more, l.ended
		l.mu.Unlock()
		for ; seen < len(entries); seen++ {
			if match(entries[seen]) {
				return entries[seen], nil
			}
		}
		if ended {
			return Entry{}, fmt.Errorf("the daemon ended; it said:\n%s", l.Text())
		}
		select {
		case <-more:
		case <-ctx.Done():
			return Entry{}, fmt.Errorf("%w; the daemon said:\n%s", ctx.Err(), l.Text())
		}
	}
}

// Entries returns those after the first n.
func (l *Log) Entries(n int) []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries[min(n, len(l.entries)):])
}

// Len returns how many entries there are.
func (l *Log) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

// Event returns what kind of line it is, by a word that stays when the message is
// put in other words.
func (e Entry) Event() string { return e.Field("event") }

// Is matches the lines of one event.
func Is(event string) func(Entry) bool {
	return func(e Entry) bool { return e.Event() == event }
}

// Moved matches a machine's transition. An empty from or reason matches any.
func Moved(machine, from, to, reason string) func(Entry) bool {
	return func(e Entry) bool {
		return e.Event() == "moved" && e.Field("machine") == machine && e.Field("to") == to &&
			(from == "" || e.Field("from") == from) && (reason == "" || e.Field("reason") == reason)
	}
}
