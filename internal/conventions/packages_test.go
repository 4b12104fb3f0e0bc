package conventions

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The table of packages in ARCHITECTURE.md has every package of this module with what it
// imports of it, and nothing else. Where a folder has tests only, those of no other package count.
func TestDocsPackages(t *testing.T) {
	rows := map[string]string{}
	row := regexp.MustCompile("(?m)^\\| `((?:cmd|internal|deploy)[\\w/-]*)` \\| .* \\| (.*) \\|$")
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
	code, tests := map[string][]treeFile{}, map[string][]treeFile{}
	for _, f := range moduleTree(t) {
		if f.isTest() {
			tests[f.folder()] = append(tests[f.folder()], f)
		} else {
			code[f.folder()] = append(code[f.folder()], f)
		}
	}
	all := map[string][]string{}
	for folder, files := range tests {
		all[folder] = importsOf(files)
	}
	for folder, files := range code {
		all[folder] = importsOf(files)
	}
	return all
}

// importsOf returns what files import of this module, without "internal/".
func importsOf(files []treeFile) []string {
	seen := map[string]bool{}
	for _, f := range files {
		for _, i := range f.imports() {
			if name, ours := strings.CutPrefix(i, "nightporter/internal/"); ours {
				seen[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// Each package says in one place what it is.
func TestPackageComments(t *testing.T) {
	comments := map[string][]string{} // the files with a comment, by folder and name of the package
	for _, f := range goTree(t) {
		key := f.folder() + " " + strings.TrimSuffix(f.syntax.Name.Name, "_test")
		comments[key] = append(comments[key], nil...)
		if f.syntax.Doc == nil {
			continue
		}
		comments[key] = append(comments[key], f.path)
		want := "Package " + f.syntax.Name.Name + " "
		if f.syntax.Name.Name == "main" {
			want = "Command " + path.Base(f.folder()) + " "
		}
		if text := f.syntax.Doc.Text(); !strings.HasPrefix(text, want) {
			t.Errorf("%s: found a comment on the package that begins with %.40q, expected %q", f.path, text, want)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(comments)) {
		if n := len(comments[key]); n != 1 {
			t.Errorf("%s: found %d comments on the package %q, expected 1", key, n, comments[key])
		}
	}
}
