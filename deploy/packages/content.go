package main

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// shipped are files for packages only.
//
//go:embed files
var shipped embed.FS

// file is one file of a package.
type file struct {
	path   string
	data   []byte
	mode   uint32
	config bool // the administrator may change it; an upgrade keeps it
}

// share is the folder of dashboards and rules.
const share = "/usr/share/nightporter/"

// installed are the files that a .deb and a .rpm have in common.
func (r release) installed(t texts, program []byte) ([]file, error) {
	unit, err := r.unit()
	if err != nil {
		return nil, err
	}
	configuration, err := shipped.ReadFile("files/config.yaml")
	if err != nil {
		return nil, err
	}
	files := []file{
		{path: "/usr/bin/nightporter", data: program, mode: 0o755},
		{path: "/usr/lib/systemd/system/nightporter.service", data: unit},
		{path: "/etc/nightporter/config.yaml", data: configuration, config: true},
		{path: "/usr/share/bash-completion/completions/nightporter", data: t.completions["bash"]},
		{path: "/usr/share/fish/vendor_completions.d/nightporter.fish", data: t.completions["fish"]},
	}
	for name, text := range t.manual {
		section := name[len(name)-1:]
		page, err := compressed(text)
		if err != nil {
			return nil, err
		}
		files = append(files, file{path: "/usr/share/man/man" + section + "/" + name + ".gz", data: page})
	}
	monitoring, err := r.monitoring(share)
	return append(files, monitoring...), err
}

// unit is the unit of deploy/systemd, changed for a program in /usr/bin.
func (r release) unit() ([]byte, error) {
	const path = "deploy/systemd/nightporter.service"
	b, err := r.read(path)
	if err != nil {
		return nil, err
	}
	text := string(b)
	for _, change := range [][2]string{
		{"ExecStart=/usr/local/bin/nightporter ", "ExecStart=/usr/bin/nightporter "},
		{"\nWants=", "\nDocumentation=man:nightporter(1) man:nightporter.yaml(5)\nWants="},
	} {
		if strings.Count(text, change[0]) != 1 {
			return nil, fmt.Errorf("%s: found %q %d times, expected once", path, change[0], strings.Count(text, change[0]))
		}
		text = strings.Replace(text, change[0], change[1], 1)
	}
	return []byte(text), nil
}

// monitoring are the dashboards, the rules and the runbook in a folder.
func (r release) monitoring(folder string) ([]file, error) {
	var files []file
	for pattern, below := range map[string]string{
		"dashboards/*.json":      "dashboards/",
		"dashboards/rules/*.yml": "rules/",
		"dashboards/RUNBOOK.md":  "",
	} {
		paths, err := filepath.Glob(filepath.Join(r.repository, pattern))
		if err != nil {
			return nil, err
		}
		if len(paths) == 0 {
			return nil, fmt.Errorf("%s: found no file", pattern)
		}
		for _, path := range paths {
			f, err := r.copied(strings.TrimPrefix(path, r.repository+"/"), folder+below+filepath.Base(path))
			if err != nil {
				return nil, err
			}
			files = append(files, f)
		}
	}
	return files, nil
}

// copied is a file of the repository, for a path in a package.
func (r release) copied(from, path string) (file, error) {
	b, err := r.read(from)
	return file{path: path, data: b}, err
}

// compressed is text in gzip's format without time and name (RFC 1952 section 2.3.1).
func compressed(text []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}

// sorted sorts the files of a package by path and sets their modes.
func sorted(files []file) []file {
	for i := range files {
		if files[i].mode == 0 {
			files[i].mode = 0o644
		}
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return files
}
