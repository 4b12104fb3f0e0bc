package cli

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"nightporter/internal/config"
)

// logLines returns three lines as the journal or another output gets them.
func logLines(t *testing.T, format string, toJournal bool) []string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var stat syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	stream := fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
	if !toJournal {
		stream += "1"
	}
	t.Setenv("JOURNAL_STREAM", stream)
	log := newLogger(f, format, slog.LevelDebug)
	log.Error("no", "event", "a")
	log.With("time", "mine").Warn("well", "event", "b")
	log.WithGroup("g").Debug("see", "event", "c")
	text, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// Lines for the journal have a priority and, as text, no time.
func TestLogInTheJournal(t *testing.T) {
	got := strings.Join(logLines(t, config.FormatText, true), "\n")
	const want = "<3>level=ERROR msg=no event=a\n<4>level=WARN msg=well time=mine event=b\n<7>level=DEBUG msg=see g.event=c"
	if got != want {
		t.Errorf("logged\n%s\nwant\n%s", got, want)
	}
	for i, line := range logLines(t, config.FormatJSON, true) {
		if !strings.HasPrefix(line, []string{"<3>", "<4>", "<7>"}[i]+`{"time":"`) {
			t.Errorf("logged %s", line)
		}
	}
}

func TestLogElsewhere(t *testing.T) {
	for _, line := range logLines(t, config.FormatText, false) {
		if !strings.HasPrefix(line, "time=") {
			t.Errorf("logged %s", line)
		}
	}
	for _, line := range logLines(t, config.FormatJSON, false) {
		if !strings.HasPrefix(line, `{"time":"`) {
			t.Errorf("logged %s", line)
		}
	}
}
