package conventions

import (
	"regexp"
	"strings"
	"testing"
)

// Every direct dependency has its reason.
func TestDocsDependencies(t *testing.T) {
	_, block, _ := strings.Cut(source(t, "go.mod"), "require (")
	block, _, _ = strings.Cut(block, ")")
	page := source(t, "docs/internals/dependencies.md")
	for line := range strings.Lines(block) {
		path, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		parts := strings.Split(strings.TrimPrefix(path, "github.com/"), "/")
		name := parts[len(parts)-1]
		if regexp.MustCompile(`^v\d+$`).MatchString(name) {
			name = parts[len(parts)-2]
		}
		if path != "" && !strings.Contains(line, "// indirect") && !regexp.MustCompile("`[^`]*\\b"+regexp.QuoteMeta(name)+"\\b[^`]*`").MatchString(page) {
			t.Errorf("docs/internals/dependencies.md lacks %s", path)
		}
	}
}
