package conventions

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// banned are words and idioms that a reader has to decode, each with what to write instead.
var banned = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`(?i)\b(some|no|any|every)body\b`), "name who: a client, a host, the user"},
	{regexp.MustCompile(`(?i)\bwh?om?ever\b|\bwhosoever\b`), "name who: the host that, a client that"},
	{regexp.MustCompile(`(?i)\b(is|are|was|were|be|been|being|get|gets) told\b`), "receives, learns, is notified: name the packet or the call"},
	{regexp.MustCompile(`(?i)\bfor (want|lack) of\b`), "because there is no"},
	{regexp.MustCompile(`(?i)\bin earnest\b`), "name the real thing"},
	{regexp.MustCompile(`(?i)\bnone of (our|its|their|your|my|his) business\b`), "is ignored"},
	{regexp.MustCompile(`(?i)\bhand-overs?\b|\bhanding-over\b`), "handover"},
	{regexp.MustCompile(`(?i)\bneighbour`), "neighbor"},
	{regexp.MustCompile(`(?i)\bno more is\b|\bmore than once too often\b|\bever so\b|\bas it were\b|\bso to speak\b|\bto and fro\b|\bhenceforth\b|\bthereupon\b|\bwhereupon\b|\btherein\b|\bthereof\b|\bhitherto\b|\bforthwith\b|\blest\b|\bere\b|\bought to\b|\bnought\b|\bnaught\b|\bnot for long\b|\bof an evening\b`), "plain words"},
	{regexp.MustCompile(`(?i)\bknows? nothing of\b|\bhas no say\b|\bhave no say\b|\bhas its say\b|\bspeaks? for itself\b|\bspeaks? up\b|\bin vain\b|\bby heart\b|\bat a loss\b|\bturned away\b|\bturns? away\b|\bgives? way\b|\bgave way\b|\bgiving way\b`), "name the act: refuses, closes, evicts, yields, releases"},
}

// octets is what RFCs call bytes. Only the package of packet formats may say so.
var octets = regexp.MustCompile(`(?i)\boctets?\b`)

// hotel are nouns that say nothing about a network. No identifier has them.
var hotel = []string{
	"chore", "chronicle", "clerk", "courier", "desk", "farewell", "guest", "house", "inhabitant",
	"lobby", "oblivion", "resident", "sentry", "slumber", "tale", "usher", "vigil", "visitor",
}

// TestLanguage: plain English in Go, Markdown, YAML and HTML.
func TestLanguage(t *testing.T) {
	walk(t, func(path string, text string) {
		switch filepath.Ext(path) {
		case ".go", ".md", ".yaml", ".yml", ".html", ".js", ".py", ".sh", ".service", ".css":
		default:
			return
		}
		if strings.HasSuffix(path, "conventions/language_test.go") {
			return
		}
		n := 0
		for line := range strings.Lines(text) {
			n++
			for _, b := range banned {
				if found := b.pattern.FindString(line); found != "" {
					t.Errorf("%s:%d: found %q, expected: %s", path, n, found, b.instead)
				}
			}
			if found := octets.FindString(line); found != "" && !strings.HasPrefix(path, "internal/lan/") {
				t.Errorf("%s:%d: found %q, expected: bytes", path, n, found)
			}
		}
	})
}

// TestIdentifiers: names are the field's own.
func TestIdentifiers(t *testing.T) {
	walk(t, func(path string, text string) {
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "conventions/language_test.go") {
			return
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				for _, word := range words(id.Name) {
					for _, h := range hotel {
						if word == h || word == h+"s" {
							t.Errorf("%s: found identifier %s, expected no %q in it", set.Position(id.Pos()), id.Name, h)
						}
					}
				}
			}
			return true
		})
	})
}

// words returns the words of an identifier in lower case.
func words(name string) []string {
	var all []string
	start := 0
	runes := []rune(name)
	for i := 1; i <= len(runes); i++ {
		if i == len(runes) || unicode.IsUpper(runes[i]) && !unicode.IsUpper(runes[i-1]) {
			all = append(all, strings.ToLower(string(runes[start:i])))
			start = i
		}
	}
	return all
}

// walk calls f for each file of the repository that a person wrote.
func walk(t *testing.T, f func(path, text string)) {
	t.Helper()
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case ".git", "dist", "artifacts", "testdata":
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		switch filepath.Ext(path) {
		case ".go", ".md", ".yaml", ".yml", ".html", ".js", ".py", ".sh", ".service", ".css":
		default:
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(repository, path)
		if err != nil {
			return err
		}
		f(rel, string(b))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
