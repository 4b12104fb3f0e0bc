package conventions

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// goFiles parses the Go files of a folder; tests among them only if asked for.
func goFiles(t *testing.T, folder string, tests bool) []*ast.File {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(repository, folder, "*.go"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no Go files in %s: %v", folder, err)
	}
	var files []*ast.File
	for _, path := range found {
		if strings.HasSuffix(path, "_test.go") != tests {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// texts are the string literals of a folder's Go files.
func texts(t *testing.T, folder string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, f := range goFiles(t, folder, false) {
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

// kinds are the kinds of events: the constants of that type in internal/journal.
func kinds(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, f := range goFiles(t, "internal/journal", false) {
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			lit, isText := spec.Values[0].(*ast.BasicLit)
			if of, isName := spec.Type.(*ast.Ident); isName && of.Name == "Kind" && isText {
				all = append(all, strings.Trim(lit.Value, `"`))
			}
			return true
		})
	}
	return all
}

// The list of events has every kind and no other, and what is called an event elsewhere is one.
func TestDocsEvents(t *testing.T) {
	known := kinds(t)
	if len(known) < 20 {
		t.Fatalf("found only the kinds %q", known)
	}
	var listed []string
	for _, p := range pages(t) {
		prose := p.prose()
		if p.path == "docs/api.md" {
			_, section, _ := strings.Cut(prose, "\n## Events\n")
			section, _, _ = strings.Cut(section, "\n## ")
			for _, row := range regexp.MustCompile("(?m)^\\| (`.*?) \\|").FindAllStringSubmatch(section, -1) {
				for _, span := range codeSpan.FindAllString(row[1], -1) {
					listed = append(listed, strings.Trim(span, "`"))
				}
			}
		}
		if p.path == "CHANGELOG.md" {
			continue
		}
		for _, m := range regexp.MustCompile("\\bevents? `([a-z_]+)`").FindAllStringSubmatchIndex(prose, -1) {
			if name := prose[m[2]:m[3]]; !slices.Contains(known, name) {
				t.Errorf("%s:%d: there is no kind of event %q", p.path, at(prose, m[0]), name)
			}
		}
	}
	for _, kind := range known {
		if !slices.Contains(listed, kind) {
			t.Errorf("docs/api.md does not list the event %q", kind)
		}
	}
	for _, kind := range listed {
		if !slices.Contains(known, kind) {
			t.Errorf("docs/api.md lists the event %q, which does not exist", kind)
		}
	}
}

// Every path of the API that the pages name is in its description, and every one of these
// is in docs/api.md.
func TestDocsAPI(t *testing.T) {
	var description struct{ Paths map[string]any }
	if err := yaml.Unmarshal([]byte(source(t, "internal/web/openapi.yaml")), &description); err != nil {
		t.Fatal(err)
	}
	known := map[string]*regexp.Regexp{}
	for path := range description.Paths {
		known[path] = regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(path), `\{name\}`, "[^/]+") + "$")
	}
	described := map[string]bool{}
	for _, m := range mentions(t) {
		for _, path := range regexp.MustCompile(`/api/v1[\w{}./-]*|/-/\w+`).FindAllString(m.text, -1) {
			path = strings.TrimRight(path, "./")
			if !slices.ContainsFunc(slices.Collect(maps.Values(known)), func(r *regexp.Regexp) bool { return r.MatchString(path) }) {
				t.Errorf("%s:%d: the API has no path %s", m.page, m.line, path)
			}
			described[m.page+" "+path] = true
		}
	}
	for path := range known {
		if strings.HasPrefix(path, "/api/") && !described["docs/api.md "+path] {
			t.Errorf("docs/api.md does not describe %s", path)
		}
	}
}

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

// The table of packages in ARCHITECTURE.md has every package of this module with what it
// imports of it, and nothing else. Where a folder has tests only, those of no other package count.
func TestDocsPackages(t *testing.T) {
	rows := map[string]string{}
	row := regexp.MustCompile("(?m)^\\| `((?:cmd|internal|deploy)[\\w/]*)` \\| .* \\| (.*) \\|$")
	for _, m := range row.FindAllStringSubmatch(source(t, "ARCHITECTURE.md"), -1) {
		rows[m[1]] = m[2]
	}
	for folder, imports := range packages(t) {
		want := "none"
		if len(imports) > 0 {
			want = strings.Join(imports, ", ")
		}
		if got, ok := rows[folder]; !ok {
			t.Errorf("ARCHITECTURE.md lacks the package %s, which imports: %s", folder, want)
		} else if got != want {
			t.Errorf("ARCHITECTURE.md says that %s imports %q; it imports %q", folder, got, want)
		}
		delete(rows, folder)
	}
	for folder := range rows {
		t.Errorf("ARCHITECTURE.md has %s, which is no package", folder)
	}
}

// packages returns the packages of this module, and what each imports of it.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		folder, err := filepath.Rel(repository, path)
		if err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && folder != "." || strings.HasPrefix(d.Name(), ".") && folder != "." || d.Name() == "testdata" {
			return fs.SkipDir
		}
		if found, err := filepath.Glob(filepath.Join(path, "*.go")); err != nil || len(found) == 0 {
			return err
		}
		files := goFiles(t, folder, false)
		if len(files) == 0 {
			files = goFiles(t, folder, true)
		}
		all[folder] = importsOf(files)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// importsOf returns what files import of this module, without "internal/".
func importsOf(files []*ast.File) []string {
	seen := map[string]bool{}
	for _, f := range files {
		for _, i := range f.Imports {
			if path, ours := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), "nightporter/internal/"); ours {
				seen[path] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// Every direct dependency has its reason.
func TestDocsDependencies(t *testing.T) {
	_, block, _ := strings.Cut(source(t, "go.mod"), "require (")
	block, _, _ = strings.Cut(block, ")")
	page := source(t, "docs/internals/dependencies.md")
	for line := range strings.Lines(block) {
		path, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		parts := strings.Split(strings.TrimPrefix(path, "github.com/"), "/")
		name := parts[len(parts)-1]
		if regexp.MustCompile(`^v\d+$`).MatchString(name) {
			name = parts[len(parts)-2]
		}
		if path != "" && !strings.Contains(line, "// indirect") && !regexp.MustCompile("`[^`]*\\b"+regexp.QuoteMeta(name)+"\\b[^`]*`").MatchString(page) {
			t.Errorf("docs/internals/dependencies.md lacks %s", path)
		}
	}
}
