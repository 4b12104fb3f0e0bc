package guide

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const page = `# A guide

Commands in ` + "`sh`" + ` are no block.

` + "```sh" + `
one
two
` + "```" + `

<!-- runs on: workstation -->
<!-- not run: it takes
     another PC -->

` + "```sh" + `
three
` + "```" + `

## In a list

1. Item:

   <!-- runs on: machine -->
   ` + "```sh" + `
   four
     indented
   ` + "```" + `

<!-- a remark to authors: runs on nothing -->
` + "```yaml" + `
five: 5
` + "```" + `

~~~
six
~~~

` + "```console" + `
$ seven
` + "```" + `
`

func TestBlocks(t *testing.T) {
	got, err := parse([]byte(page))
	if err != nil {
		t.Fatal(err)
	}
	want := []Block{
		{Line: 6, Section: "A guide", Language: "sh", Text: "one\ntwo\n", Place: Porter},
		{Line: 15, Section: "A guide", Language: "sh", Text: "three\n", Place: Workstation, NotRun: "it takes another PC"},
		{Line: 24, Section: "In a list", Language: "sh", Text: "four\n  indented\n", Place: Machine},
		{Line: 30, Section: "In a list", Language: "yaml", Text: "five: 5\n", Place: Porter},
		{Line: 34, Section: "In a list", Text: "six\n", Place: Porter},
		{Line: 38, Section: "In a list", Language: "console", Text: "$ seven\n", Place: Porter},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Scripts returns the blocks of one computer, without those that no test runs.
func TestScripts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	for place, want := range map[Place]string{Porter: "one\ntwo\n", Machine: "four\n  indented\n"} {
		got, err := Scripts(path, place)
		if err != nil || len(got) != 1 || got[0].Text != want {
			t.Errorf("%s: %+v, %v", place, got, err)
		}
	}
	if got, err := Scripts(path, Workstation); err == nil || !strings.HasSuffix(err.Error(), "page.md: found no block to run on the workstation") {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := Section(path, "In a list", Machine, 1); err != nil || len(got) != 1 || got[0].Line != 24 {
		t.Errorf("in the list: %+v, %v", got, err)
	}
	if got, err := Section(path, "In a list", Porter, 1); err == nil || !strings.HasSuffix(err.Error(), `page.md: found 0 blocks to run on the porter in "In a list", expected 1`) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := Scripts(path+"x", Porter); err == nil {
		t.Error("a missing page is no error")
	}
}

// A mistake in a comment is an error, so that no block is skipped by mistake.
func TestBadComments(t *testing.T) {
	for text, want := range map[string]string{
		"\n<!-- runs on: dest -->\n```sh\na\n```\n":                 `2: runs on: found "dest", expected one of ["porter" "machine" "workstation"]`,
		"<!-- not run: -->\n```sh\na\n```\n":                        "1: not run: found nothing, expected the reason",
		"<!-- not run: why -->\n```yaml\na: b\n```\n":               `1: not run: found a block of the language "yaml" after it, expected sh`,
		"<!-- runs on: workstation -->\n\nText.\n\n```sh\na\n```\n": "1: runs on: found no block after it",
		"<!-- not run: why -->\n\n<!-- runs on: workstation -->\n":  "1: not run: found no block after it",
		"* item\n\n  <!-- not run: why -->\n\n```sh\na\n```\n\n":    "3: not run: found no block after it",
	} {
		if got, err := parse([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: %+v, %v, want %s", text, got, err, want)
		}
	}
}
