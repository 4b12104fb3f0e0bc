package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// module is a Go module that is linked into the program.
type module struct{ path, version, dir string }

// licenseName matches the names of files with a license.
var licenseName = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|copyright)(-[\w.]+)?(\.(txt|md))?$`)

// collectNotices returns the licenses of the modules that are linked into the program, and
// of Go. Most licenses require a copy with the program.
func (r release) collectNotices(ctx context.Context) ([]byte, error) {
	const format = "{{with .Module}}{{if .Version}}{{.Path}}\t{{.Version}}\t{{.Dir}}{{end}}{{end}}"
	list, err := r.output(ctx, nil, "go", "list", "-deps", "-f", format, "./cmd/nightporter")
	if err != nil {
		return nil, err
	}
	root, err := r.output(ctx, nil, "go", "env", "GOROOT", "GOVERSION")
	if err != nil {
		return nil, err
	}
	golang := strings.Fields(string(root))
	if len(golang) != 2 {
		return nil, fmt.Errorf("go env: found %q, expected a directory and a version", root)
	}
	modules := []module{{"Go", golang[1], golang[0]}}
	lines := strings.Fields(strings.ReplaceAll(string(list), "\t", "\x00"))
	slices.Sort(lines)
	for _, line := range slices.Compact(lines) {
		part := strings.Split(line, "\x00")
		modules = append(modules, module{part[0], part[1], part[2]})
	}
	return notices(modules)
}

// notices joins the licenses of modules.
func notices(modules []module) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("Modules that are linked into nightporter, and their licenses.\n")
	for _, m := range modules {
		entries, err := os.ReadDir(m.dir)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "\n==== %s %s ====\n", m.path, m.version)
		found := false
		for _, entry := range entries {
			if entry.IsDir() || !licenseName.MatchString(entry.Name()) {
				continue
			}
			text, err := os.ReadFile(filepath.Join(m.dir, entry.Name()))
			if err != nil {
				return nil, err
			}
			found = true
			fmt.Fprintf(&b, "\n---- %s ----\n\n%s\n", entry.Name(), bytes.TrimSpace(text))
		}
		if !found {
			return nil, fmt.Errorf("%s: found no license in %s", m.path, m.dir)
		}
	}
	return b.Bytes(), nil
}
