package terminal_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightporter/internal/terminal"
)

// TestColor: /dev/null is a character device, as a terminal is.
func TestColor(t *testing.T) {
	device, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	if !terminal.Color(device) || terminal.Color(file) || terminal.Color(new(strings.Builder)) {
		t.Error("want color on a device only")
	}
	t.Setenv("TERM", "dumb")
	if terminal.Color(device) || !terminal.Is(device) {
		t.Error("want no color with TERM=dumb")
	}
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "1")
	if terminal.Color(device) {
		t.Error("want no color with NO_COLOR set")
	}
}
