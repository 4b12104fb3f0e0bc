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

// larger are functions and types from before these bounds. None is added.
var larger = map[string]bool{
	"internal/lan.TestNoGroupIsLeft": true, "internal/metrics.TestMachineFacts": true, "internal/web.InWords": true,
}

// No file has more lines than can be read in one go.
func TestFileSizes(t *testing.T) {
	for _, f := range goTree(t) {
		if n := strings.Count(f.text, "\n"); n > maxFileLines {
			t.Errorf("%s: found %d lines, expected at most %d", f.path, n, maxFileLines)
		}
	}
}

// No function is longer than a screen. The table of cases of a test does not count.
func TestFunctionSizes(t *testing.T) {
	for _, f := range goTree(t) {
		most := maxFunctionLines
		if f.isTest() {
			most = maxTestFunctionLines
		}
		for _, d := range f.syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				start, end := positions.Position(fn.Pos()), positions.Position(fn.End())
				n := end.Line - start.Line + 1
				if f.isTest() {
					n -= tableLines(fn)
				}
				if n > most && !larger[f.folder()+"."+fn.Name.Name] {
					t.Errorf("%s: found %d lines in %s, expected at most %d", start, n, fn.Name.Name, most)
				}
			}
		}
	}
}

// tableLines returns how many lines the longest literal of a function has.
func tableLines(fn *ast.FuncDecl) int {
	longest := 0
	ast.Inspect(fn, func(n ast.Node) bool {
		if table, ok := n.(*ast.CompositeLit); ok {
			longest = max(longest, positions.Position(table.End()).Line-positions.Position(table.Pos()).Line)
		}
		return true
	})
	return longest
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
		if n := methods[name]; n > maxMethods && !larger[name] {
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
