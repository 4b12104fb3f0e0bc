// Package guide reads the commands of a page of the documentation, so that tests can run
// them like a reader.
//
// A fenced block of the language sh is a script. Two comments before it, which a browser
// does not show, say where it runs and why no test runs it:
//
//	<!-- runs on: workstation -->
//	<!-- not run: Docker is no package of Debian's -->
package guide

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/text"
)

// Place is the computer on which a block runs.
type Place string

// The places of the guides.
const (
	Porter      Place = "porter"      // the host that is always on; the default
	Machine     Place = "machine"     // a machine that sleeps
	Workstation Place = "workstation" // the computer that the reader uses
)

var places = []Place{Porter, Machine, Workstation}

// Block is a fenced block of a page.
type Block struct {
	Line     int    // of its first line, in the page
	Section  string // the heading above it
	Language string // empty if none is named
	Text     string
	Place    Place
	NotRun   string // why no test runs it; empty: a test does
}

// runs reports whether a test runs the block on that computer.
func (b Block) runs(on Place) bool {
	return b.Language == "sh" && b.NotRun == "" && b.Place == on
}

// Read returns the blocks of a page in their order.
func Read(path string) ([]Block, error) {
	page, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	blocks, err := parse(page)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", path, err)
	}
	return blocks, nil
}

// Scripts returns the blocks of a page that a test runs on a computer. A page without such
// a block is an error, since a test of it would test nothing.
func Scripts(path string, on Place) ([]Block, error) {
	blocks, err := Read(path)
	if err != nil {
		return nil, err
	}
	blocks = slices.DeleteFunc(blocks, func(b Block) bool { return !b.runs(on) })
	if len(blocks) == 0 {
		return nil, fmt.Errorf("%s: found no block to run on the %s", path, on)
	}
	return blocks, nil
}

// Section returns the blocks of one section that a test runs on a computer. Another number
// of blocks than want is an error, since the test checks something after each.
func Section(path, heading string, on Place, want int) ([]Block, error) {
	blocks, err := Read(path)
	if err != nil {
		return nil, err
	}
	blocks = slices.DeleteFunc(blocks, func(b Block) bool { return !b.runs(on) || b.Section != heading })
	if len(blocks) != want {
		return nil, fmt.Errorf("%s: found %d blocks to run on the %s in %q, expected %d", path, len(blocks), on, heading, want)
	}
	return blocks, nil
}

// parse returns the blocks of a page, also those in lists and quotations.
func parse(page []byte) ([]Block, error) {
	var blocks []Block
	section := ""
	root := goldmark.DefaultParser().Parse(text.NewReader(page))
	err := ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			section = string(n.Lines().Value(page))
		case *ast.FencedCodeBlock:
			b, err := block(n, page)
			b.Section = section
			blocks = append(blocks, b)
			return ast.WalkContinue, err
		case *ast.HTMLBlock:
			return ast.WalkContinue, checkFollowed(n, page)
		}
		return ast.WalkContinue, nil
	})
	return blocks, err
}

// block reads a fenced block, and the comments before it.
func block(n *ast.FencedCodeBlock, page []byte) (Block, error) {
	b := Block{Line: line(n, page), Language: string(n.Language(page)), Text: string(n.Lines().Value(page)), Place: Porter}
	for before := n.PreviousSibling(); before != nil && before.Kind() == ast.KindHTMLBlock; before = before.PreviousSibling() {
		if err := b.apply(commentText(before, page)); err != nil {
			return b, fmt.Errorf("%d: %w", line(before, page), err)
		}
	}
	return b, nil
}

// apply applies a comment to the block. Other comments are ignored.
func (b *Block) apply(comment string) error {
	key, value, _ := strings.Cut(comment, ":")
	value = strings.TrimSpace(value)
	switch key {
	case "runs on":
		if b.Place = Place(value); !slices.Contains(places, b.Place) {
			return fmt.Errorf("runs on: found %q, expected one of %q", value, places)
		}
	case "not run":
		if b.NotRun = value; value == "" {
			return fmt.Errorf("not run: found nothing, expected the reason")
		}
	default:
		return nil
	}
	if b.Language != "sh" {
		return fmt.Errorf("%s: found a block of the language %q after it, expected sh", key, b.Language)
	}
	return nil
}

// checkFollowed returns an error for a comment about a block without a block after it.
func checkFollowed(n *ast.HTMLBlock, page []byte) error {
	key, _, _ := strings.Cut(commentText(n, page), ":")
	next := n.NextSibling()
	for next != nil && next.Kind() == ast.KindHTMLBlock {
		next = next.NextSibling()
	}
	if key != "runs on" && key != "not run" || next != nil && next.Kind() == ast.KindFencedCodeBlock {
		return nil
	}
	return fmt.Errorf("%d: %s: found no block after it", line(n, page), key)
}

// commentText is the text of an HTML comment, in one line.
func commentText(n ast.Node, page []byte) string {
	html := string(n.Lines().Value(page))
	if closing := n.(*ast.HTMLBlock).ClosureLine; closing.Start >= 0 {
		html += string(closing.Value(page))
	}
	inside, isComment := strings.CutPrefix(strings.TrimSpace(html), "<!--")
	inside, closed := strings.CutSuffix(inside, "-->")
	if !isComment || !closed {
		return ""
	}
	return strings.Join(strings.Fields(inside), " ")
}

// line is the line number in the page at which a node begins.
func line(n ast.Node, page []byte) int {
	if n.Lines().Len() == 0 {
		return 0
	}
	return 1 + bytes.Count(page[:n.Lines().At(0).Start], []byte("\n"))
}
