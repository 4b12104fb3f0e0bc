package conventions

import (
	"go/ast"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every file and folder of the repository that the pages name is there. A Go file may be
// named from its package on.
func TestDocsPaths(t *testing.T) {
	inRepository := regexp.MustCompile(`^(cmd|internal|docs|deploy|dashboards|\.ci)/[\w./*-]*$`)
	inPackage := regexp.MustCompile(`^[a-z]+/[a-z0-9_]+\.go$`)
	checked := 0
	for _, m := range mentions(t) {
		for _, word := range strings.Fields(m.text) {
			pattern := ""
			switch {
			case m.lang != "" && m.lang != "sh" && m.lang != "-":
			case inRepository.MatchString(word):
				pattern = word
			case inPackage.MatchString(word) && m.lang == "":
				pattern = "internal/" + word
			}
			if pattern == "" {
				continue
			}
			checked++
			if found, err := filepath.Glob(filepath.Join(repository, pattern)); err != nil || len(found) == 0 {
				t.Errorf("%s:%d: there is no %s in the repository", m.page, m.line, pattern)
			}
		}
	}
	if checked < 50 {
		t.Errorf("only %d paths are found", checked)
	}
}

// A name of the code in the design notes, such as `machine.Pace` or `Takes`, is declared there.
func TestDocsIdentifiers(t *testing.T) {
	named := regexp.MustCompile(`^(?:([a-z]+)\.)?([A-Z][A-Za-z]+)(?:\.([A-Z][A-Za-z]+))?$`)
	anywhere, inPackage := map[string]bool{}, map[string]bool{}
	folders := map[string]bool{}
	for _, f := range goTree(t) {
		folder := path.Base(f.folder())
		folders[folder] = true
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				anywhere[id.Name] = true
				inPackage[folder+"."+id.Name] = true
			}
			return true
		})
	}
	checked := 0
	for _, m := range mentions(t) {
		if m.lang != "" || !strings.HasPrefix(m.page, "docs/internals/") && m.page != "ARCHITECTURE.md" {
			continue
		}
		parts := named.FindStringSubmatch(m.text)
		if parts == nil || strings.ToUpper(m.text) == m.text || parts[1] != "" && !folders[parts[1]] {
			continue
		}
		checked++
		if parts[1] == "" && !anywhere[parts[2]] && !documented[parts[2]] || parts[1] != "" && !inPackage[parts[1]+"."+parts[2]] || parts[3] != "" && !anywhere[parts[3]] {
			t.Errorf("%s:%d: the code has no %s", m.page, m.line, m.text)
		}
	}
	if checked < 40 {
		t.Errorf("only %d names of the code are found", checked)
	}
}

// documented are words in code spans that look like names of the code.
var documented = map[string]bool{"Authorization": true, "Host": true, "InRelease": true, "Origin": true, "Release": true}
