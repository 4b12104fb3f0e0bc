package conventions

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// repository is the top of the repository, seen from this package.
const repository = "../.."

// treeFile is a file of the repository that a person wrote.
type treeFile struct {
	path   string // from the top of the repository
	text   string
	syntax *ast.File // nil unless it is a Go file
}

// folder is the folder of the file, from the top of the repository.
func (f treeFile) folder() string { return path.Dir(f.path) }

// isTest reports whether go build leaves the file out.
func (f treeFile) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

// imports are the paths that a Go file imports.
func (f treeFile) imports() []string {
	var paths []string
	for _, i := range f.syntax.Imports {
		paths = append(paths, strings.Trim(i.Path.Value, `"`))
	}
	return paths
}

// positions has the positions of all Go files.
var positions = token.NewFileSet()

// readTree reads and parses each file once for all tests.
var readTree = sync.OnceValues(func() ([]treeFile, error) {
	var files []treeFile
	err := filepath.WalkDir(repository, func(full string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case ".git", "dist", "artifacts", "testdata", "node_modules":
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || !isSource(full) {
			return nil
		}
		b, err := os.ReadFile(full)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(repository, full)
		if err != nil {
			return err
		}
		files = append(files, treeFile{path: filepath.ToSlash(name), text: string(b)})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return files, parseAll(files)
})

// isSource reports whether a file is text that a person wrote, by its name.
func isSource(full string) bool {
	switch filepath.Ext(full) {
	case ".go", ".md", ".yaml", ".yml", ".html", ".js", ".py", ".sh", ".service", ".conf", ".css":
		return true
	case "":
		folder := filepath.Base(filepath.Dir(full))
		return filepath.Base(full) == "Makefile" || folder == ".ci" || folder == "packages"
	}
	return false
}

// parseAll parses the Go files among files, several at a time.
func parseAll(files []treeFile) error {
	errs := make([]error, len(files))
	var group sync.WaitGroup
	for i := range files {
		if filepath.Ext(files[i].path) != ".go" {
			continue
		}
		group.Go(func() {
			files[i].syntax, errs[i] = parser.ParseFile(positions, files[i].path, files[i].text, parser.ParseComments|parser.SkipObjectResolution)
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// tree returns all files of the repository that a person wrote.
func tree(t *testing.T) []treeFile {
	t.Helper()
	files, err := readTree()
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 500 {
		t.Fatalf("found only %d files", len(files))
	}
	return files
}

// goTree returns all Go files of the repository.
func goTree(t *testing.T) []treeFile {
	t.Helper()
	return slices.DeleteFunc(slices.Clone(tree(t)), func(f treeFile) bool { return f.syntax == nil })
}

// moduleTree returns the Go files of the main module.
func moduleTree(t *testing.T) []treeFile {
	t.Helper()
	modules := map[string]bool{}
	all := goTree(t)
	for _, f := range all {
		for dir := f.folder(); dir != "."; dir = path.Dir(dir) {
			if _, known := modules[dir]; !known {
				_, err := os.Stat(filepath.Join(repository, dir, "go.mod"))
				modules[dir] = err == nil
			}
		}
	}
	return slices.DeleteFunc(all, func(f treeFile) bool {
		for dir := f.folder(); dir != "."; dir = path.Dir(dir) {
			if modules[dir] {
				return true
			}
		}
		return false
	})
}

// codeOf returns the Go files of a folder without its tests.
func codeOf(t *testing.T, folder string) []*ast.File {
	t.Helper()
	var files []*ast.File
	for _, f := range goTree(t) {
		if f.folder() == folder && !f.isTest() {
			files = append(files, f.syntax)
		}
	}
	if len(files) == 0 {
		t.Fatalf("no Go files in %s", folder)
	}
	return files
}

// source is a file of the repository.
func source(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(repository, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
