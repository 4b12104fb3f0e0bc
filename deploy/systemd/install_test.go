package systemd_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// runMake runs make at the top of the repository and returns its output.
func runMake(t *testing.T, args ...string) (string, error) {
	t.Helper()
	out, err := exec.Command(program(t, "make"), append([]string{"-C", "../..", "--no-print-directory"}, args...)...).CombinedOutput()
	return string(out), err
}

// filesBelow returns the files below a folder.
func filesBelow(t *testing.T, folder string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, strings.TrimPrefix(path, folder))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// make uninstall removes what make install installed, except the configuration. Neither
// changes an existing configuration.
func TestInstallAndUninstall(t *testing.T) {
	dest := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := runMake(t, "install", "DESTDIR="+dest, "PROGRAM="+self); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	configuration := "/etc/nightporter/config.yaml"
	want := []string{configuration, "/etc/systemd/system/nightporter.service", "/usr/local/bin/nightporter", "/usr/local/share/doc/nightporter/config.example.yaml"}
	if got := filesBelow(t, dest); !slices.Equal(got, want) {
		t.Errorf("installed are %q, want %q", got, want)
	}
	if starts := parse(t, dest+want[1])["Service.ExecStart"]; !strings.HasPrefix(starts, want[2]+" ") {
		t.Errorf("the unit starts %s", starts)
	}
	const mine = "log: {level: debug}\n"
	if err := os.WriteFile(dest+configuration, []byte(mine), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"install", "uninstall"} {
		if out, err := runMake(t, target, "DESTDIR="+dest, "PROGRAM="+self); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if b, err := os.ReadFile(dest + configuration); err != nil || string(b) != mine {
			t.Errorf("make %s changed the configuration: %q, %v", target, b, err)
		}
	}
	if got := filesBelow(t, dest); !slices.Equal(got, []string{configuration}) {
		t.Errorf("left over are %q", got)
	}
}

func TestInstallWithoutProgram(t *testing.T) {
	dest := t.TempDir()
	out, err := runMake(t, "install", "DESTDIR="+dest, "PROGRAM="+dest+"/missing")
	if err == nil || !strings.Contains(out, "run `make build` first") || len(filesBelow(t, dest)) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// The error for a Go that is too old names its version and the remedies.
func TestCheckGo(t *testing.T) {
	for says, good := range map[string]bool{
		"go version go1.19.8 linux/arm64":  false,
		"go version go1.9 linux/arm64":     false,
		"":                                 false,
		"go version go1.26.0 linux/arm64":  true,
		"go version go1.100.2 linux/arm64": true,
		"go version devel go1.99-abcdef Tue Nov 3 linux/arm64": true,
	} {
		fake := filepath.Join(t.TempDir(), "go")
		if err := os.WriteFile(fake, []byte("#!/bin/sh\necho '"+says+"'\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		out, err := runMake(t, "check-go", "GO="+fake)
		if (err == nil) != good {
			t.Errorf("%q: %v\n%s", says, err, out)
		}
		if !good && (!strings.Contains(out, "or newer is needed, found ") || !strings.Contains(out, "https://go.dev/dl") || !strings.Contains(out, "make packages")) {
			t.Errorf("%q: %s", says, out)
		}
	}
}
