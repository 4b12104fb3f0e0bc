// Package roff writes manual pages in the macros of man(7).
package roff

import (
	"fmt"
	"regexp"
	"strings"
)

// Page is one manual page.
type Page struct{ text strings.Builder }

// NewPage begins the page NAME(section). Source is the version of the program that it
// describes, manual the name of the manual that it belongs to.
func NewPage(name, section, source, manual string) *Page {
	p := new(Page)
	p.line(`.TH %s %s "" %s %s`, argument(strings.ToUpper(name)), argument(section), argument(source), argument(manual))
	return p
}

// String returns the page.
func (p *Page) String() string { return p.text.String() }

// Section begins a section, such as OPTIONS.
func (p *Page) Section(title string) { p.line(".SH %s", argument(title)) }

// Subsection begins a part of a section.
func (p *Page) Subsection(title string) { p.line(".SS %s", argument(title)) }

// Text writes paragraphs, which are divided by empty lines.
func (p *Page) Text(text string) {
	for i, paragraph := range paragraphs(text) {
		if i > 0 {
			p.line(".PP")
		}
		p.prose(paragraph)
	}
}

// Item writes a term, in bold, and what it means, indented.
func (p *Page) Item(term, text string) {
	p.line(".TP")
	p.line(`\fB%s\fR`, escape(term))
	for i, paragraph := range paragraphs(text) {
		if i > 0 {
			p.line(".IP")
		}
		p.prose(paragraph)
	}
}

// Code writes lines as they are.
func (p *Page) Code(text string) {
	p.line(".PP")
	p.line(".EX")
	for line := range strings.Lines(text) {
		p.line("%s", begin(escape(strings.TrimRight(line, "\n"))))
	}
	p.line(".EE")
}

// prose writes one paragraph. What stands between backticks is bold.
//
// Words are not divided, nor lines filled: both are hard to read in a terminal. The macros
// of some systems switch that on again with each paragraph.
func (p *Page) prose(paragraph string) {
	p.line(".nh")
	p.line(".ad l")
	for line := range strings.Lines(bold(paragraph)) {
		p.line("%s", begin(strings.TrimSpace(line)))
	}
}

func (p *Page) line(format string, args ...any) { fmt.Fprintf(&p.text, format+"\n", args...) }

// bold escapes text, and makes bold what stands between two backticks.
func bold(text string) string {
	var b strings.Builder
	for {
		before, rest, opened := strings.Cut(text, "`")
		span, after, closed := strings.Cut(rest, "`")
		if !opened || !closed {
			return b.String() + escape(text)
		}
		b.WriteString(escape(before) + `\fB` + escape(span) + `\fR`)
		text = after
	}
}

var emptyLines = regexp.MustCompile(`\n[ \t]*\n`)

func paragraphs(text string) []string {
	return emptyLines.Split(strings.Trim(text, "\n"), -1)
}

// escapes are the characters that roff would take for its own, or would print as a
// typographic sign that nobody can paste: groff_char(7).
var escapes = strings.NewReplacer(
	`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`,
)

func escape(text string) string { return escapes.Replace(text) }

// begin protects a line whose first character would make a request of it.
func begin(line string) string {
	if strings.HasPrefix(line, ".") {
		return `\&` + line
	}
	return line
}

// argument is text as one argument of a macro.
func argument(text string) string {
	return `"` + strings.ReplaceAll(escape(strings.ReplaceAll(text, "\n", " ")), `"`, `\(dq`) + `"`
}
