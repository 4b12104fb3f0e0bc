package config_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"nightporter/internal/config"
)

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0},
		{"abc", "abd", 1}, {"abc", "ab", 1}, {"ab", "abc", 1}, {"abc", "acb", 1},
		{"attempts", "atempst", 2}, {"kitten", "sitting", 3}, {"ca", "abc", 3},
	} {
		if got := config.Distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance of %q and %q = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestDistanceProperties(t *testing.T) {
	word := rapid.StringMatching(`[a-c]{0,8}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		d := config.Distance(a, b)
		if back := config.Distance(b, a); back != d {
			t.Errorf("%d there, %d back", d, back)
		}
		if (d == 0) != (a == b) {
			t.Errorf("%d, but equal: %v", d, a == b)
		}
		if d < max(len(a), len(b))-min(len(a), len(b)) || d > max(len(a), len(b)) {
			t.Errorf("%d is impossible for words of %d and %d letters", d, len(a), len(b))
		}
	})
}

func TestSuggest(t *testing.T) {
	known := []string{"log.level", "probe.interval", "wake.attempts", "wake.interval"}
	for name, want := range map[string]string{
		"log.levle":              "log.level",
		"LOG.LEVEL":              "log.level",
		"probe.attempts":         "wake.attempts", // the right name in the wrong section
		"attempt":                "wake.attempts",
		"interval":               "", // there are two
		"wake.intervall":         "wake.interval",
		"x":                      "",
		"":                       "",
		"something.else":         "",
		strings.Repeat("a", 65):  "",
		"wake." + "attempts\x00": "wake.attempts",
	} {
		if got := config.Suggest(name, known); got != want {
			t.Errorf("suggest for %q = %q, want %q", name, got, want)
		}
	}
}
