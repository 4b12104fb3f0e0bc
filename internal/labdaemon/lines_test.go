package labdaemon

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestEveryLineHasItsEvent reads the source: every line of the daemon's log says
// which event it tells of, by a word that stays when the message is put in other
// words. Tests, the demo and other people's scripts match it. An error is in err.
func TestEveryLineHasItsEvent(t *testing.T) {
	lines := 0
	for _, root := range []string{"../../internal", "../../cmd"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for _, d := range file.Decls {
				ast.Inspect(d, func(n ast.Node) bool {
					call, ok := n.(*ast.CallExpr)
					if !ok || !logs(call) {
						return true
					}
					lines++
					if wrong := wrongWith(call, d); wrong != "" {
						t.Errorf("%s: %s", files.Position(call.Pos()), wrong)
					}
					return true
				})
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if lines < 80 {
		t.Errorf("found %d lines only", lines)
	}
}

// logs reports whether a call writes a line to a logger, all of which are named log.
func logs(call *ast.CallExpr) bool {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !slices.Contains([]string{"Debug", "Info", "Warn", "Error", "LogAttrs"}, method.Sel.Name) {
		return false
	}
	switch logger := method.X.(type) {
	case *ast.Ident:
		return logger.Name == "log"
	case *ast.SelectorExpr:
		return strings.EqualFold(logger.Sel.Name, "log")
	}
	return false
}

var word = regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)

// wrongWith says what is wrong with a line's attributes. Those that a list brings
// stand elsewhere in the function around.
func wrongWith(call *ast.CallExpr, around ast.Decl) string {
	texts := textsOf(call)
	if i := slices.Index(texts, "event"); i >= 0 && i+1 < len(texts) && word.MatchString(texts[i+1]) {
		if slices.Contains(texts, "error") {
			return `an error is in "error": expected "err"`
		}
		return ""
	}
	if all := textsOf(around); call.Ellipsis.IsValid() && slices.Contains(all, "event") {
		return ""
	}
	return `no "event" with a word for it`
}

// textsOf returns the texts in a piece of source.
func textsOf(n ast.Node) (texts []string) {
	ast.Inspect(n, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if text, err := strconv.Unquote(literal.Value); err == nil {
				texts = append(texts, text)
			}
		}
		return true
	})
	return texts
}
