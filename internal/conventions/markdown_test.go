package conventions

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

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
	for _, f := range tree(t) {
		if path.Ext(f.path) == ".md" {
			all = append(all, page{f.path, pageLines(f.text)})
		}
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

// mention is something that a page says in code: in a span, or in a line of a block.
type mention struct {
	page string
	line int
	text string
	lang string // of the block; empty for a span
}

// mentions returns all code of the pages that describe the product as it is.
func mentions(t *testing.T) []mention {
	t.Helper()
	var all []mention
	for _, p := range pages(t) {
		if p.path == "CHANGELOG.md" { // it tells of what was
			continue
		}
		for _, l := range p.lines {
			if l.code != "" {
				all = append(all, mention{p.path, l.number, l.text, l.code})
			}
		}
		prose := p.prose()
		for _, m := range codeSpan.FindAllStringIndex(prose, -1) {
			all = append(all, mention{p.path, at(prose, m[0]), strings.Trim(prose[m[0]:m[1]], "`"), ""})
		}
	}
	if len(all) < 1000 {
		t.Fatalf("only %d pieces of code are found", len(all))
	}
	return all
}

// blocks returns the code blocks of all pages, each in one piece without the indent of
// its fence.
func blocks(t *testing.T) []mention {
	t.Helper()
	var all []mention
	for _, p := range pages(t) {
		var lines []string
		indent := ""
		for i, l := range p.lines {
			if l.code == "-" && fence.MatchString(l.text) {
				indent = l.text[:len(l.text)-len(strings.TrimLeft(l.text, " "))]
				continue
			}
			if l.code == "" || l.code == "-" {
				continue
			}
			lines = append(lines, strings.TrimPrefix(l.text, indent))
			if i+1 == len(p.lines) || p.lines[i+1].code != l.code {
				all = append(all, mention{p.path, l.number - len(lines) + 1, strings.Join(lines, "\n") + "\n", l.code})
				lines = nil
			}
		}
	}
	return all
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
	for path, most := range map[string]int{"README.md": 700, "ARCHITECTURE.md": 2000} {
		b, err := os.ReadFile(filepath.Join(repository, path))
		if err != nil {
			t.Fatal(err)
		}
		if n := len(strings.Fields(string(b))); n > most {
			t.Errorf("%s has %d words, expected %d at most", path, n, most)
		}
	}
}
