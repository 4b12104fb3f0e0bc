package vm

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// emulated sends first, then answers each command with the lines of answer.
func emulated(t *testing.T, first string, answer func(command string, id int) string) (*peer, <-chan string) {
	t.Helper()
	ours, theirs := net.Pipe()
	events := make(chan string, 10)
	p := newPeer(ours, func(name string, data json.RawMessage) { events <- name + string(data) })
	t.Cleanup(func() {
		theirs.Close()
		p.close()
	})
	go func() {
		_, _ = io.WriteString(theirs, first) // after an error the answer is missing
		lines := bufio.NewScanner(theirs)
		for lines.Scan() {
			var c struct {
				Execute string
				ID      int
			}
			if json.Unmarshal(lines.Bytes(), &c) == nil {
				_, _ = io.WriteString(theirs, answer(c.Execute, c.ID))
			}
		}
	}()
	return p, events
}

// TestPeerSeparatesAnswersAndEvents, also when the answer to an earlier command is late.
func TestPeerSeparatesAnswersAndEvents(t *testing.T) {
	p, events := emulated(t, `{"QMP": {"version": {}, "capabilities": []}}`+"\n"+"\xff\n", func(command string, id int) string {
		return fmt.Sprintf(`{"event": "NOISE", "data": {"by": %q}}`+"\n"+`{"return": "late", "id": %d}`+"\n"+`{"return": %q, "id": %d}`+"\n",
			command, id+1000, command, id)
	})
	for _, command := range []string{"stop", "cont"} {
		var got string
		if err := p.call(t.Context(), command, nil, &got); err != nil || got != command {
			t.Errorf("%s returned %q, %v", command, got, err)
		}
		if got, want := <-events, fmt.Sprintf(`NOISE{"by": %q}`, command); got != want {
			t.Errorf("the event is %s, want %s", got, want)
		}
	}
}

func TestPeerSaysWhatIsWrong(t *testing.T) {
	p, _ := emulated(t, "", func(command string, id int) string {
		switch command {
		case "refused":
			return fmt.Sprintf(`{"error": {"class": "GenericError", "desc": "not now"}, "id": %d}`+"\n", id)
		case "odd":
			return fmt.Sprintf(`{"return": 7, "id": %d}`+"\n", id)
		}
		return ""
	})
	var text string
	for command, want := range map[string]string{"refused": "not now", "odd": "returned 7"} {
		if err := p.call(t.Context(), command, nil, &text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", command, err, want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := p.call(ctx, "silence", nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without an answer the error is %v", err)
	}
	if len(p.waiting) != 0 {
		t.Errorf("%d calls still wait", len(p.waiting))
	}
}

// TestPeerEnds: a call that waits returns an error.
func TestPeerEnds(t *testing.T) {
	ours, theirs := net.Pipe()
	p := newPeer(ours, nil)
	go func() {
		_, _ = bufio.NewReader(theirs).ReadString('\n')
		theirs.Close()
	}()
	if err := p.call(t.Context(), "quit", nil, nil); !errors.Is(err, errHungUp) {
		t.Errorf("the error is %v, want %v", err, errHungUp)
	}
	p.close()
}

// FuzzParseReply: an accepted line is an event or has an id, and parses the same again.
func FuzzParseReply(f *testing.F) {
	f.Add([]byte(`{"return": {}, "id": 1}`))
	f.Add([]byte(`{"event": "SUSPEND", "timestamp": {"seconds": 1, "microseconds": 2}}`))
	f.Add([]byte(`{"error": {"class": "GenericError", "desc": "no"}, "id": 3}`))
	f.Add([]byte(`{"QMP": {}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, ok := parseReply(line)
		if !ok {
			return
		}
		if r.Event == "" && r.ID == 0 {
			t.Errorf("%q is taken for a reply", line)
		}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if again, ok := parseReply(b); !ok || again.ID != r.ID || again.Event != r.Event {
			t.Errorf("%q is read as %v, and that as %v", line, r, again)
		}
	})
}

// TestEventsWait returns past and future events in order, and fails after a failure.
func TestEventsWait(t *testing.T) {
	l := newEvents()
	l.add(PoweredOn, "first")
	go func() {
		l.add(Suspended, "")
		l.add(PoweredOn, "second")
		l.add(Failed, "no power")
	}()
	for n, want := range []string{"first", "second"} {
		if e, err := l.wait(t.Context(), n, PoweredOn); err != nil || e.Detail != want {
			t.Errorf("after %d events it is %v, %v, want %s", n, e, err, want)
		}
	}
	if _, err := l.wait(t.Context(), 3, PoweredOn); err == nil || !strings.Contains(err.Error(), "no power") {
		t.Errorf("after a failure the error is %v", err)
	}
	all, _ := l.since(0)
	kinds := make([]EventKind, len(all))
	for i, e := range all {
		kinds[i] = e.Kind
	}
	if want := []EventKind{PoweredOn, Suspended, PoweredOn, Failed}; !slices.Equal(kinds, want) {
		t.Errorf("the events are %v, want %v", kinds, want)
	}
}
