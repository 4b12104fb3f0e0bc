package labdaemon

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// write gives the log a text in pieces of n bytes.
func write(t *testing.T, l *Log, text string, n int) {
	t.Helper()
	for b := []byte(text); len(b) > 0; {
		piece := b[:min(n, len(b))]
		if written, err := l.Write(piece); err != nil || written != len(piece) {
			t.Fatalf("%d bytes written, %v", written, err)
		}
		b = b[len(piece):]
	}
}

// Entries come out as the daemon's logger made them, however its output is cut
// into pieces, and whatever else it says.
func TestEntries(t *testing.T) {
	var text bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))
	log.Warn("machine asleep", "machine", "nas", "after", 1500*time.Millisecond, "attempts", 6, "err", errors.New("no \"luck\"\nat all"))
	text.WriteString("panic: not JSON\n\n\"neither an object\"\n[1]\n")
	log.Debug("", "to", "awake")
	for _, size := range []int{1, 2, 7, 64, text.Len()} {
		var also bytes.Buffer
		l := newLog(&also)
		write(t, l, text.String(), size)
		if l.Len() != 2 {
			t.Fatalf("pieces of %d: %d entries, want 2", size, l.Len())
		}
		e, err := l.Wait(t.Context(), 0, func(Entry) bool { return true })
		if err != nil {
			t.Fatal(err)
		}
		if e.Message != "machine asleep" || e.Level != "WARN" || time.Since(e.Time).Abs() > time.Minute {
			t.Errorf("pieces of %d: %q, %q, at %v", size, e.Message, e.Level, e.Time)
		}
		if e.Field("machine") != "nas" || e.Field("attempts") != "6" || e.Field("err") != "no \"luck\"\nat all" || e.Field("none") != "" {
			t.Errorf("pieces of %d: fields %v", size, e.Fields)
		}
		if d := e.Duration("after"); d != 1500*time.Millisecond {
			t.Errorf("pieces of %d: after %v", size, d)
		}
		if e.Duration("machine") != 0 || e.Duration("none") != 0 {
			t.Errorf("pieces of %d: what is no duration has one", size)
		}
		if last := l.Entries(1); len(last) != 1 || last[0].Level != "DEBUG" || len(l.Entries(3)) != 0 {
			t.Errorf("pieces of %d: after the first entry %v", size, last)
		}
		if l.Text() != text.String() || also.String() != text.String() {
			t.Errorf("pieces of %d: the text was changed", size)
		}
	}
}

func TestLastLineWithoutItsEnd(t *testing.T) {
	l := newLog(nil)
	write(t, l, `{"msg":"cut o`, 100)
	if l.Len() != 0 || l.Text() != `{"msg":"cut o` {
		t.Errorf("%d entries, text %q", l.Len(), l.Text())
	}
	write(t, l, "ff\"}\n", 100)
	if e, err := l.Wait(t.Context(), 0, says("cut off")); err != nil || e.Message != "cut off" {
		t.Errorf("%q, %v", e.Message, err)
	}
}

func says(message string) func(Entry) bool {
	return func(e Entry) bool { return e.Message == message }
}

func TestWait(t *testing.T) {
	const begin = `{"msg":"one"}` + "\n" + `{"msg":"two","n":1}` + "\n" + `{"msg":"two","n":2}` + "\n"
	for _, c := range []struct {
		name    string
		after   int
		later   string // written a second on
		ends    bool   // ... and then the daemon ends
		message string
		n, err  string // what is found, or what the error says
		took    time.Duration
	}{
		{name: "the past", message: "two", n: "1"},
		{name: "after an entry", after: 2, message: "two", n: "2"},
		{name: "the future", message: "three", later: `{"msg":"three","n":3}` + "\n", n: "3", took: time.Second},
		{name: "after entries that are still to come", after: 4, message: "three",
			later: `{"msg":"three","n":3}` + "\n" + `{"msg":"three","n":4}` + "\n", n: "4", took: time.Second},
		{name: "never", message: "three", later: `{"msg":"four"}` + "\n", err: "deadline exceeded", took: 5 * time.Second},
		{name: "the daemon ends", message: "three", later: "panic: it hurts\n", ends: true, err: "the daemon ended", took: time.Second},
		{name: "the daemon's last words", message: "bye", later: `{"msg":"bye","n":9}` + "\n", ends: true, n: "9", took: time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLog(nil)
				write(t, l, begin, 1000)
				time.AfterFunc(time.Second, func() {
					_, _ = l.Write([]byte(c.later))
					if c.ends {
						l.end()
					}
				})
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				began := time.Now()
				e, err := l.Wait(ctx, c.after, says(c.message))
				if took := time.Since(began); took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
				if c.err != "" {
					// The error shows what the daemon said, to tell why.
					if err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), strings.TrimSpace(c.later)) {
						t.Errorf("error %v, want %q", err, c.err)
					}
				} else if err != nil || e.Field("n") != c.n {
					t.Errorf("found %v, %v; want number %s", e.Fields, err, c.n)
				}
				time.Sleep(time.Second) // let the writer end
			})
		})
	}
}

// Readers that wait while the daemon writes miss nothing.
func TestWaitWhileWriting(t *testing.T) {
	l := newLog(nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for n := range 200 {
				if _, err := l.Wait(ctx, n, says("tick")); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 200 {
		write(t, l, `{"msg":"tick"}`+"\n", 5)
	}
	readers.Wait()
}

func TestMoved(t *testing.T) {
	entry := func(pairs ...string) Entry {
		e := Entry{Fields: map[string]any{"event": "moved", "machine": "nas", "from": "settling", "to": "asleep", "reason": "fell silent"}}
		for i := 0; i < len(pairs); i += 2 {
			e.Fields[pairs[i]] = pairs[i+1]
		}
		return e
	}
	other := entry("event", "conflict")
	reworded := entry()
	reworded.Message = "something else"
	for _, c := range []struct {
		name                      string
		machine, from, to, reason string
		e                         Entry
		want                      bool
	}{
		{"all of it", "nas", "settling", "asleep", "fell silent", entry(), true},
		{"from anywhere", "nas", "", "asleep", "fell silent", entry(), true},
		{"for any reason", "nas", "settling", "asleep", "", entry(), true},
		{"in other words", "nas", "settling", "asleep", "fell silent", reworded, true},
		{"another machine", "tv", "", "asleep", "", entry(), false},
		{"another beginning", "nas", "waking", "asleep", "", entry(), false},
		{"another end", "nas", "", "awake", "", entry(), false},
		{"another reason", "nas", "", "asleep", "wake attempts used up", entry(), false},
		{"no transition", "nas", "settling", "asleep", "fell silent", other, false},
		{"no fields", "nas", "", "asleep", "", Entry{Message: "machine asleep"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Is("moved")(c.e); got != (c.e.Event() == "moved") {
				t.Errorf("%q taken for a transition: %t", c.e.Event(), got)
			}
			if got := Moved(c.machine, c.from, c.to, c.reason)(c.e); got != c.want {
				t.Errorf("%t, want %t", got, c.want)
			}
		})
	}
}
