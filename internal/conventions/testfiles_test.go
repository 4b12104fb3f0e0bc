package conventions

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// harness are names of test files of which a reader knows what is in them.
var harness = []string{"main", "fuzz", "property", "bench", "example", "export", "harness"}

// At least four of five test files are named after what they test: a source file of their folder,
// or a feature that a heading or a table of the documentation names.
func TestTestFileNames(t *testing.T) {
	features := documentedFeatures(t)
	sources := map[string]bool{}
	for _, f := range goTree(t) {
		if !f.isTest() {
			sources[strings.TrimSuffix(f.path, ".go")] = true
		}
	}
	var others []string
	total := 0
	for _, f := range goTree(t) {
		if !f.isTest() {
			continue
		}
		total++
		name := strings.TrimSuffix(path.Base(f.path), "_test.go")
		if !namedAfterSource(sources, f.folder(), name) && !slices.Contains(harness, name) && !namesFeature(features, name) {
			others = append(others, f.path)
		}
	}
	t.Logf("%d of %d test files are named after neither a source file nor a feature: %q", len(others), total, others)
	if 5*len(others) > total {
		t.Errorf("%d of %d test files are named after neither a source file of their folder nor a documented feature, expected at most one of five: %q", len(others), total, others)
	}
}

// namedAfterSource reports whether a test file has the name of a source file of its folder, alone
// or with what it tests of it.
func namedAfterSource(sources map[string]bool, folder, name string) bool {
	for {
		if sources[path.Join(folder, name)] || name == path.Base(folder) {
			return true
		}
		i := strings.LastIndexByte(name, '_')
		if i < 0 {
			return false
		}
		name = name[:i]
	}
}

// namesFeature reports whether each word of a name stands in one heading or first cell of a table.
func namesFeature(features [][]string, name string) bool {
	words := strings.Split(name, "_")
	if words[0] == "fault" || words[0] == "field" || words[0] == "vm" { // the kind of test: docs/internals/tests.md
		words = words[1:]
	}
	return len(words) > 0 && slices.ContainsFunc(features, func(feature []string) bool {
		return !slices.ContainsFunc(words, func(word string) bool { return !slices.Contains(feature, word) })
	})
}

// documentedFeatures are the words of each heading, of each term in bold and of each first cell of
// a table of the pages, in lower case and without plurals' s, and those with it.
func documentedFeatures(t *testing.T) [][]string {
	t.Helper()
	bold := regexp.MustCompile(`\*\*[^*]+\*\*`)
	var all [][]string
	add := func(text string) {
		var words []string
		for _, word := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !('a' <= r && r <= 'z' || '0' <= r && r <= '9') }) {
			words = append(words, word, strings.TrimSuffix(word, "s"), word+"s")
		}
		all = append(all, words)
	}
	for _, p := range pages(t) {
		for _, l := range p.lines {
			switch {
			case l.code != "":
			case strings.HasPrefix(l.text, "#"):
				add(l.text)
			case strings.HasPrefix(l.text, "|"):
				cells := strings.Split(l.text, "|")
				add(cells[1])
			}
			for _, m := range bold.FindAllString(l.text, -1) {
				add(m)
			}
		}
	}
	return all
}
