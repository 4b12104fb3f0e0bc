package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A tarball has one folder with the program and its files.
func TestTarball(t *testing.T) {
	dir := t.TempDir()
	output(t, "tar", "-xzf", built(t, older, ".tar.gz"), "-C", dir)
	const top = "nightporter-0.1.0-linux-amd64"
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 || entries[0].Name() != top {
		t.Fatalf("found %v, %v", entries, err)
	}
	for _, path := range []string{
		"CHANGELOG.md", "LICENSE", "THIRD-PARTY-NOTICES", "RUNBOOK.md", "config.example.yaml", "nightporter.service",
		"completions/nightporter.bash", "completions/_nightporter", "completions/nightporter.fish",
		"man/nightporter.1", "man/nightporter-wake.1", "man/nightporter.yaml.5",
		"dashboards/overview.json", "rules/nightporter.alerts.yml",
	} {
		if info, err := os.Stat(filepath.Join(dir, top, path)); err != nil || info.Size() == 0 || info.Mode() != 0o644 || !info.ModTime().Equal(commit) {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	if out := output(t, filepath.Join(dir, top, "nightporter"), "version"); !strings.HasPrefix(out, "nightporter 0.1.0 ") {
		t.Errorf("it is %s", out)
	}
	unit, err := os.ReadFile(filepath.Join(dir, top, "nightporter.service"))
	if err != nil || !strings.Contains(string(unit), "ExecStart=/usr/local/bin/nightporter serve\n") {
		t.Errorf("%v\n%s", err, unit)
	}
}

// Two notices of one name would overwrite each other.
func TestTarballNames(t *testing.T) {
	list := strings.Fields(output(t, "tar", "-tzf", built(t, older, ".tar.gz")))
	if !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != len(list) {
		t.Errorf("found %q", list)
	}
}
