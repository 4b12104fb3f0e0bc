package daemon

import (
	"errors"
	"testing"
)

// TestOnOneLine: a configuration may have many errors.
func TestOnOneLine(t *testing.T) {
	for text, want := range map[string]string{
		"a: found 1": "a: found 1",
		"a\nb\nc":    "a; b; c",
		"a\nb\nc\nd": "a; b; c; and 1 more",
	} {
		if got := oneLine(errors.New(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
