package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeRepository returns a folder with files at the given paths.
func fakeRepository(t *testing.T, content map[string]string) release {
	t.Helper()
	dir := t.TempDir()
	for path, text := range content {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return release{options: options{repository: dir}, version: newer, date: commit}
}

// The unit is that of the repository, except for the path of the program and the manual.
func TestUnit(t *testing.T) {
	r := release{options: options{repository: "../.."}}
	want, err := r.read("deploy/systemd/nightporter.service")
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.unit()
	if err != nil {
		t.Fatal(err)
	}
	back := strings.Replace(string(got), "=/usr/bin/", "=/usr/local/bin/", 1)
	back = strings.Replace(back, "Documentation=man:nightporter(1) man:nightporter.yaml(5)\n", "", 1)
	if back != string(want) || string(got) == string(want) {
		t.Errorf("the unit is\n%s", got)
	}
	const path = "deploy/systemd/nightporter.service"
	r = fakeRepository(t, map[string]string{path: "[Unit]\nWants=a\nExecStart=/opt/nightporter serve\n"})
	if _, err := r.unit(); err == nil || !strings.Contains(err.Error(), path+": found \"ExecStart=") {
		t.Errorf("a unit that starts another program: %v", err)
	}
}

func TestMonitoringIsThere(t *testing.T) {
	if _, err := fakeRepository(t, nil).monitoring(share); err == nil || !strings.Contains(err.Error(), ": found no file") {
		t.Errorf("got %v", err)
	}
}

func TestCopyright(t *testing.T) {
	got, err := copyright("MIT License\n\nCopyright (c) 2026 The authors\n\nPermission is granted,\n\nwithout warranty.\n")
	if err != nil || !strings.HasSuffix(string(got), "\n\nFiles: *\nCopyright: 2026 The authors\nLicense: Expat\n Permission is granted,\n .\n without warranty.\n") {
		t.Errorf("got %v\n%s", err, got)
	}
	if _, err := copyright("All rights reserved.\n"); err == nil || !strings.Contains(err.Error(), "LICENSE: found no line") {
		t.Errorf("got %v", err)
	}
}

func TestNotices(t *testing.T) {
	dir := fakeRepository(t, map[string]string{
		"a/LICENSE": "free", "a/NOTICE.txt": "by us", "a/license_test.go": "package a", "b/COPYING": "as well", "c/README": "none", "a/LICENSES/x": "",
	}).repository
	a, b, c := module{"example.org/a", "v1", dir + "/a"}, module{"example.org/b", "v2", dir + "/b"}, module{"example.org/c", "v3", dir + "/c"}
	got, err := notices([]module{a, b})
	if err != nil || !strings.HasSuffix(string(got), "\n==== example.org/a v1 ====\n\n---- LICENSE ----\n\nfree\n\n---- NOTICE.txt ----\n\nby us\n\n==== example.org/b v2 ====\n\n---- COPYING ----\n\nas well\n") {
		t.Errorf("got %v\n%s", err, got)
	}
	if _, err := notices([]module{a, c}); err == nil || !strings.Contains(err.Error(), "example.org/c: found no license") {
		t.Errorf("got %v", err)
	}
}
