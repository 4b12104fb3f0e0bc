// Package roff writes manual pages in the macros of man(7).
package roff

import (
	"fmt"
	"regexp"
	"strings"
)

// Page is one manual page.
type Page struct{ text strings.Builder }

// NewPage returns the page NAME(section) with its title. source is the program and its version,
// manual the title of the manual.
func NewPage(name, section, source, manual string) *Page {
	p := new(Page)
	p.line(`.TH %s %s "" %s %s`, argument(strings.ToUpper(name)), argument(section), argument(source), argument(manual))
	return p
}

// String returns the page.
func (p *Page) String() string { return p.text.String() }

// Section starts a section, such as OPTIONS.
func (p *Page) Section(title string) { p.line(".SH %s", argument(title)) }

// Subsection starts a part of a section.
func (p *Page) Subsection(title string) { p.line(".SS %s", argument(title)) }

// Text writes paragraphs. Empty lines separate them.
func (p *Page) Text(text string) {
	for i, paragraph := range paragraphs(text) {
		if i > 0 {
			p.line(".PP")
		}
		p.prose(paragraph)
	}
}

// Item writes a term in bold and its description, indented.
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

// prose writes one paragraph. Text between backticks is bold.
//
// Hyphenation and justification are off, because both are hard to read in a terminal. The
// macros of some systems switch them on again with each paragraph.
func (p *Page) prose(paragraph string) {
	p.line(".nh")
	p.line(".ad l")
	for line := range strings.Lines(bold(paragraph)) {
		p.line("%s", begin(strings.TrimSpace(line)))
	}
}

func (p *Page) line(format string, args ...any) { fmt.Fprintf(&p.text, format+"\n", args...) }

// bold escapes text, and makes text between backticks bold.
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

// escapes are the characters that roff interprets, or prints as typographic characters that a
// shell does not accept: groff_char(7).
var escapes = strings.NewReplacer(
	`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`,
)

func escape(text string) string { return escapes.Replace(text) }

// begin escapes a line that begins like a request.
func begin(line string) string {
	if strings.HasPrefix(line, ".") {
		return `\&` + line
	}
	return line
}

// argument returns text as one argument of a macro.
func argument(text string) string {
	return `"` + strings.ReplaceAll(escape(strings.ReplaceAll(text, "\n", " ")), `"`, `\(dq`) + `"`
}
