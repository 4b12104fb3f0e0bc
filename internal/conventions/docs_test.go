package conventions

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// repository is where the repository is, seen from this package.
const repository = "../.."

// page is one Markdown file.
type page struct {
	path  string // from the top of the repository
	lines []pageLine
}

// pageLine is one line of a page.
type pageLine struct {
	number int
	text   string
	code   string // the language of the block it is in; "-" where none is named; empty outside of blocks
}

var (
	fence    = regexp.MustCompile("^\\s*(```+|~~~+)\\s*([\\w-]*)")
	codeSpan = regexp.MustCompile("`+[^`\n]+`+")
)

// pages returns all Markdown files of the repository.
func pages(t *testing.T) []page {
	t.Helper()
	var all []page
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != repository, d.Name() == "artifacts", d.Name() == "testdata":
			if d.IsDir() {
				return fs.SkipDir
			}
		case !d.IsDir() && filepath.Ext(path) == ".md":
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(repository, path)
			if err != nil {
				return err
			}
			all = append(all, page{name, pageLines(string(b))})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 30 {
		t.Fatalf("only %d Markdown files are found", len(all))
	}
	return all
}

// pageLines divides a page, and finds its code blocks: fenced ones, and those that are
// indented by four columns after an empty line or a heading.
func pageLines(text string) []pageLine {
	var lines []pageLine
	open, language := "", ""
	indented, list := false, false
	previous := ""
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		l := pageLine{number: i + 1, text: line}
		m := fence.FindStringSubmatch(line)
		switch {
		case open != "" && m != nil && strings.HasPrefix(m[1], open):
			open, l.code = "", "-"
		case open != "":
			l.code = language
		case m != nil:
			open, language, l.code = m[1], m[2], "-"
			if language == "" {
				language = "-"
			}
		case strings.HasPrefix(line, "    ") && (indented || (previous == "" || strings.HasPrefix(previous, "#")) && !list):
			indented, l.code = true, "-"
		case line != "":
			indented = false
			list = list && strings.HasPrefix(line, " ") || listItem.MatchString(line)
		}
		previous = line
		lines = append(lines, l)
	}
	return lines
}

var listItem = regexp.MustCompile(`^\s*([-*+]|\d+[.)])\s`)

// prose is the text of a page outside of code blocks, in one piece.
func (p page) prose() string {
	var b strings.Builder
	for _, l := range p.lines {
		if l.code == "" {
			b.WriteString(l.text)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// at returns the number of the line at an offset of prose.
func at(prose string, offset int) int { return 1 + strings.Count(prose[:offset], "\n") }

// anchors are the names that GitHub gives to the headings of a page.
func (p page) anchors() []string {
	var names []string
	for _, l := range p.lines {
		level, title, ok := strings.Cut(l.text, " ")
		if l.code != "" || !ok || strings.Trim(level, "#") != "" || level == "" {
			continue
		}
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(title))
		names = append(names, name)
	}
	return names
}

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

// maxWidth is how long a line of a page may be, in characters.
const maxWidth = 100

// Lines of text are wrapped. Tables, code, headings and what has no blank cannot be.
func TestDocsWidth(t *testing.T) {
	for _, p := range pages(t) {
		var long []int
		for _, l := range p.lines {
			trimmed := strings.TrimSpace(l.text)
			switch {
			case utf8.RuneCountInString(l.text) <= maxWidth, l.code != "", strings.HasPrefix(trimmed, "|"), strings.HasPrefix(trimmed, "#"):
			case strings.Contains(strings.TrimLeft(codeSpan.ReplaceAllString(trimmed, "x"), "*-0123456789. "), " "):
				long = append(long, l.number)
			}
		}
		if len(long) > 0 {
			t.Errorf("%s:%d: %d lines have more than %d characters", p.path, long[0], len(long), maxWidth)
		}
	}
}

// What is read first is short.
func TestDocsLength(t *testing.T) {
	for path, most := range map[string]int{"README.md": 700, "ARCHITECTURE.md": 1500} {
		b, err := os.ReadFile(filepath.Join(repository, path))
		if err != nil {
			t.Fatal(err)
		}
		if n := len(strings.Fields(string(b))); n > most {
			t.Errorf("%s has %d words, expected %d at most", path, n, most)
		}
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

func TestPageLines(t *testing.T) {
	text := "# A `b` c\n    indented\n\n    more\n\n* item\n\n    of the item\n```sh\nnightporter x\n```\ntext\n"
	var code []string
	for _, l := range pageLines(text) {
		code = append(code, l.code)
	}
	if want := []string{"", "-", "", "-", "", "", "", "", "-", "sh", "-", ""}; !slices.Equal(code, want) {
		t.Errorf("got %q, want %q", code, want)
	}
	p := page{"x.md", pageLines(text)}
	if got := p.anchors(); !slices.Equal(got, []string{"a-b-c"}) {
		t.Errorf("got anchors %q", got)
	}
}
