package conventions

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every file and folder of the repository that the pages name is there. A Go file may be
// named from its package on.
func TestDocsPaths(t *testing.T) {
	inRepository := regexp.MustCompile(`^(cmd|internal|docs|deploy|dashboards|\.ci)/[\w./*-]*$`)
	inPackage := regexp.MustCompile(`^[a-z]+/[a-z0-9_]+\.go$`)
	checked := 0
	for _, m := range mentions(t) {
		for _, word := range strings.Fields(m.text) {
			pattern := ""
			switch {
			case m.lang != "" && m.lang != "sh" && m.lang != "-":
			case inRepository.MatchString(word):
				pattern = word
			case inPackage.MatchString(word) && m.lang == "":
				pattern = "internal/" + word
			}
			if pattern == "" {
				continue
			}
			checked++
			if found, err := filepath.Glob(filepath.Join(repository, pattern)); err != nil || len(found) == 0 {
				t.Errorf("%s:%d: there is no %s in the repository", m.page, m.line, pattern)
			}
		}
	}
	if checked < 50 {
		t.Errorf("only %d paths are found", checked)
	}
}
