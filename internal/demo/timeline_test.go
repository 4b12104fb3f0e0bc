package demo

import (
	"testing"

	"nightporter/internal/labdaemon"
)

// TestPorterText: a warning of the daemon ends with its error.
func TestPorterText(t *testing.T) {
	for want, fields := range map[string]map[string]any{
		"WARN: it failed":                     {"event": "some_failed"},
		"WARN: it failed: connection refused": {"event": "some_failed", "err": "connection refused"},
		"magic packets, round 2":              {"event": "magic", "attempt": 2.0},
	} {
		if got := porterText(labdaemon.Entry{Level: "WARN", Message: "it failed", Fields: fields}); got != want {
			t.Errorf("%v: %q, want %q", fields, got, want)
		}
	}
}
