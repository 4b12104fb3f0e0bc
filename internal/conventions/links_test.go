package conventions

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var link = regexp.MustCompile(`\]\(\s*([^)\s]+)\s*\)`)

// Every relative link leads to a file of the repository, and every anchor to a heading.
func TestDocsLinks(t *testing.T) {
	all := pages(t)
	byPath := map[string]page{}
	for _, p := range all {
		byPath[p.path] = p
	}
	checked := 0
	for _, p := range all {
		prose := codeSpan.ReplaceAllStringFunc(p.prose(), func(s string) string { return strings.Repeat("x", len(s)) })
		for _, m := range link.FindAllStringSubmatchIndex(prose, -1) {
			target := prose[m[2]:m[3]]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			checked++
			file, anchor, hasAnchor := strings.Cut(target, "#")
			full := p.path
			if file != "" {
				full = filepath.Join(filepath.Dir(p.path), file)
			}
			if _, err := os.Stat(filepath.Join(repository, full)); err != nil {
				t.Errorf("%s:%d: the link %q leads nowhere: %v", p.path, at(prose, m[0]), target, err)
				continue
			}
			if other, isPage := byPath[full]; hasAnchor && isPage && !slices.Contains(other.anchors(), anchor) {
				t.Errorf("%s:%d: %s has no heading for #%s", p.path, at(prose, m[0]), full, anchor)
			}
		}
	}
	if checked < 100 {
		t.Errorf("only %d links are found", checked)
	}
}

// Every page in docs can be reached from README, and every note from the list of notes.
func TestDocsAreListed(t *testing.T) {
	for list, folder := range map[string]string{"README.md": "docs", "docs/internals/README.md": "docs/internals"} {
		var linked []string
		for _, p := range pages(t) {
			if p.path == list {
				for _, m := range link.FindAllStringSubmatch(p.prose(), -1) {
					file, _, _ := strings.Cut(m[1], "#")
					linked = append(linked, filepath.Join(filepath.Dir(list), file))
				}
			}
		}
		found, err := filepath.Glob(filepath.Join(repository, folder, "*.md"))
		if err != nil || len(found) == 0 {
			t.Fatalf("no pages in %s: %v", folder, err)
		}
		for _, path := range found {
			name, err := filepath.Rel(repository, path)
			if err != nil {
				t.Fatal(err)
			}
			if name != list && !slices.Contains(linked, name) {
				t.Errorf("%s does not link %s", list, name)
			}
		}
	}
}
