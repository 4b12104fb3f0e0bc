package conventions

import (
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Every metric that the pages name is one of the daemon's.
func TestDocsMetrics(t *testing.T) {
	known := texts(t, "internal/metrics")
	known["build_info"] = true // of github.com/prometheus/common
	series := regexp.MustCompile(`_(bucket|sum|count)$`)
	checked := 0
	for _, m := range mentions(t) {
		for _, name := range regexp.MustCompile(`\bnightporter_[a-z_]*[a-z]\b`).FindAllString(m.text, -1) {
			checked++
			short := strings.TrimPrefix(name, "nightporter_")
			if !known[short] && !known[name] && !known[series.ReplaceAllString(short, "")] {
				t.Errorf("%s:%d: there is no metric %s", m.page, m.line, name)
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d metrics are found", checked)
	}
}

// texts are the string literals of a folder's Go files.
func texts(t *testing.T, folder string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, f := range codeOf(t, folder) {
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil {
					all[s] = true
				}
			}
			return true
		})
	}
	return all
}
