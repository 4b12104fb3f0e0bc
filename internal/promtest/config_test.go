package promtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRulesStay: in the copies of the rules only the intervals of groups differ.
func TestRulesStay(t *testing.T) {
	paths, err := filepath.Glob("../../dashboards/rules/*.yml")
	if err != nil || len(paths) < 2 {
		t.Fatalf("%q, %v", paths, err)
	}
	o := Options{Dir: t.TempDir(), Rules: paths}
	if err := o.copyRules(); err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		was := lines(t, path)
		is := lines(t, filepath.Join(o.Dir, rulesDir, filepath.Base(path)))
		changed := 0
		for i, line := range was {
			if i >= len(is) || line == is[i] {
				continue
			}
			changed++
			if diff := cmp.Diff([]string{"interval: 10m", "interval: 500ms"}, []string{strings.TrimSpace(line), strings.TrimSpace(is[i])}); diff != "" {
				t.Errorf("%s, line %d (-want +got):\n%s", path, i+1, diff)
			}
		}
		if len(is) != len(was) || changed != 1 {
			t.Errorf("%s has %d lines, and its copy %d, of which %d differ; expected one", path, len(was), len(is), changed)
		}
	}
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), "\n")
}
