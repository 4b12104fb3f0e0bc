package e2e

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	soakFlag     = flag.Bool("soak", false, "fault tests at full size; see `make soak`")
	variantsFlag = flag.Bool("variants", false, "tests that need the computer for themselves; see `make variants`")
	connections  = flag.Int("connections", 12, "first connections of TestFirstConnections; with 100 and more the figures are asserted")
	seed         = flag.Uint64("seed", 1, "seed of tests that draw at random")
)

// soak returns how much of a fault a test makes: small in an ordinary run, full with -soak.
func soak(small, full int) int {
	if *soakFlag {
		return full
	}
	return small
}

// variantUnless skips a variant of a case that is not among the chosen few. With -soak all
// variants run.
func variantUnless(t *testing.T, chosen bool) {
	t.Helper()
	if !chosen && !*soakFlag {
		t.Skip("run with -soak")
	}
}

// onlyVariants skips a test that takes the whole computer for long. `make variants` and
// `make soak` run it.
func onlyVariants(t *testing.T) {
	t.Helper()
	if !*variantsFlag && !*soakFlag {
		t.Skip("run with -variants")
	}
}

// TestVariantsTarget: `make variants` names each test that calls onlyVariants.
func TestVariantsTarget(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`(?m)^VARIANTS \?= ([\w|]+)$`).FindSubmatch(makefile)
	if names == nil {
		t.Fatal("found no list of VARIANTS in the Makefile")
	}
	named := strings.Split(string(names[1]), "|")
	var want []string
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(f.Name.Name, "Test") {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok && id.Name == "onlyVariants" {
					want = append(want, f.Name.Name)
				}
				return true
			})
		}
	}
	slices.Sort(named)
	slices.Sort(want)
	if diff := cmp.Diff(want, named); diff != "" {
		t.Errorf("tests of make variants (-want +got):\n%s", diff)
	}
}
