package notifyconf

import (
	"strings"
	"testing"
)

// Parse checks the form of a URL without the library that delivers to it.
func TestParse(t *testing.T) {
	for raw, want := range map[string]string{
		"ntfy://ntfy.sh/topic":         "",
		"GOTIFY://host/token":          "",
		"pushbullet://token":           "",
		"ntfy:///hunter2":              "expected ntfy://[user:password@]host/topic, with a host",
		"logger://hunter2":             "expected a URL that begins with one of the services ",
		"hunter2":                      "expected a URL that begins with one of the services ",
		"ntfy://ntfy.sh/" + Hidden:     "expected the URL itself: ",
		strings.Repeat("hunter2", 400): "expected a URL of at most 2048 bytes",
	} {
		target, err := Parse(raw, nil)
		if want == "" {
			if err != nil || target.URL() != raw {
				t.Errorf("%s: got %q, %v", raw, target.URL(), err)
			}
			continue
		}
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want %s", raw, err, want)
		}
	}
}
