package journal

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestCrashed: the next run knows whether this one ended in order. Of a porter that knew no
// machine, only one that records its starts leaves word of its end.
func TestCrashed(t *testing.T) {
	for _, c := range []struct {
		name   string
		events []Kind
		mem    bool
		killed bool
		want   bool
	}{
		{"nothing happened", nil, false, true, false},
		{"ended", []Kind{Started}, false, false, false},
		{"ended with a machine", []Kind{Started}, true, false, false},
		{"killed", []Kind{Started, Refused}, false, true, true},
		{"killed with a machine", nil, true, true, true},
		{"older, without a machine", []Kind{Refused}, false, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			j, first, _ := opened(t, dir)
			if first.Crashed {
				t.Error("the first run follows a crash")
			}
			for _, k := range c.events {
				j.Append(Record{Event: Event{Kind: k}})
			}
			if c.mem {
				j.Append(Record{Memory: memoryOf(1)})
			}
			if !c.killed {
				closed(t, j)
			} else if err := trySync(t, j); err != nil {
				t.Fatal(err)
			}
			// What is in the file at this moment is what kill -9 leaves.
			left := t.TempDir()
			if err := os.WriteFile(filepath.Join(left, "journal.jsonl"), contentOf(t, dir), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, past, _ := opened(t, left); past.Crashed != c.want {
				t.Errorf("crashed: %v, want %v", past.Crashed, c.want)
			}
		})
	}
}

// TestCrashedSoon: a run that dies right after its start is reported as well.
func TestCrashedSoon(t *testing.T) {
	dir := t.TempDir()
	j, _, _ := opened(t, dir)
	j.Append(Record{Event: Event{Kind: Started}})
	left := filepath.Join(t.TempDir(), "left")
	for deadline := time.Now().Add(eventDelay - time.Second); ; time.Sleep(10 * time.Millisecond) {
		if err := os.MkdirAll(left, 0o700); err != nil {
			t.Fatal(err)
		}
		if content := contentOf(t, dir); bytes.Contains(content, []byte(Started)) {
			if err := os.WriteFile(filepath.Join(left, "journal.jsonl"), content, 0o600); err != nil {
				t.Fatal(err)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the start is not in the file")
		}
	}
	if _, past, _ := opened(t, left); !past.Crashed || len(past.Events) != 1 {
		t.Errorf("crashed: %v, %d events", past.Crashed, len(past.Events))
	}
}

// TestAppendedAtTheEnd: what comes while the journal closes makes no crash of it.
func TestAppendedAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	j, _, _ := opened(t, dir)
	j.Append(Record{Event: Event{Kind: Started}})
	j.mu.Lock()
	j.closing = true
	j.state.mark(true)
	j.mu.Unlock()
	j.Append(Record{Event: Event{Kind: ReloadFailed}})
	j.wakeWriter()
	<-j.done
	left := t.TempDir()
	if err := os.WriteFile(filepath.Join(left, "journal.jsonl"), contentOf(t, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, past, _ := opened(t, left); past.Crashed || len(past.Events) != 2 {
		t.Errorf("crashed: %v, %d events", past.Crashed, len(past.Events))
	}
}
