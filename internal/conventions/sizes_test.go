package conventions

import (
	"go/ast"
	"maps"
	"slices"
	"strings"
	"testing"
)

// Upper bounds of sizes. What is larger is divided.
const (
	maxFileLines         = 420
	maxFunctionLines     = 60
	maxTestFunctionLines = 80
	maxMethods           = 45
)

// No file has more lines than can be read in one go.
func TestFileSizes(t *testing.T) {
	for _, f := range goTree(t) {
		if n := strings.Count(f.text, "\n"); n > maxFileLines {
			t.Errorf("%s: found %d lines, expected at most %d", f.path, n, maxFileLines)
		}
	}
}

// No function is longer than a screen; a test may have a longer table.
func TestFunctionSizes(t *testing.T) {
	for _, f := range goTree(t) {
		most := maxFunctionLines
		if f.isTest() {
			most = maxTestFunctionLines
		}
		for _, d := range f.syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				start, end := positions.Position(fn.Pos()), positions.Position(fn.End())
				if n := end.Line - start.Line + 1; n > most {
					t.Errorf("%s: found %d lines in %s, expected at most %d", start, n, fn.Name.Name, most)
				}
			}
		}
	}
}

// No type has more methods than a reader can keep apart.
func TestMethodCounts(t *testing.T) {
	methods := map[string]int{}
	for _, f := range goTree(t) {
		for _, d := range f.syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv != nil {
				methods[f.folder()+"."+receiver(fn)]++
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(methods)) {
		if n := methods[name]; n > maxMethods {
			t.Errorf("%s: found %d methods, expected at most %d", name, n, maxMethods)
		}
	}
}

// receiver is the name of the type that a method belongs to.
func receiver(fn *ast.FuncDecl) string {
	expr := fn.Recv.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		case *ast.Ident:
			return e.Name
		default:
			return "?"
		}
	}
}
