package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// The versions that tests build, in order.
const (
	older = "0.1.0"
	newer = "0.2.0"
)

var scratch string // the directory of the packages of all tests

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "nightporter-packages-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(scratch)
	os.Exit(code)
}

var builds = struct {
	sync.Mutex
	errs map[string]error
}{errs: map[string]error{}}

// built returns the path of a package of a version. It is built once for all tests.
func built(t *testing.T, version, suffix string) string {
	t.Helper()
	program(t, "git") // go needs it to find the modules
	builds.Lock()
	defer builds.Unlock()
	out := filepath.Join(scratch, version)
	if _, done := builds.errs[version]; !done {
		builds.errs[version] = build(t, out, version)
	}
	if err := builds.errs[version]; err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(out, "*"+suffix))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: found %q, %v, want one file", suffix, found, err)
	}
	return found[0]
}

// build builds the three formats for the platform of the tests.
func build(t *testing.T, out, version string) error {
	return run(t.Context(), options{
		repository: "../..", out: out, describe: version, revision: "0123456789",
		epoch: strconv.FormatInt(commit.Unix(), 10), only: "amd64.deb,x86_64.rpm,linux-amd64.tar.gz",
	})
}

// program returns the path of a program. Without the program the test is skipped, in CI it
// fails.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		unavailable(t, err.Error())
	}
	return path
}

// unavailable skips a test that cannot run on this host. In CI the test fails.
func unavailable(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip("not tested:", why)
}

// output runs a program and returns its output.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program(t, name), args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// A build of the same commit in another folder has the same bytes in every format.
func TestReproducible(t *testing.T) {
	elsewhere := filepath.Join(t.TempDir(), "else", "where")
	if err := build(t, elsewhere, older); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{".deb", ".rpm", ".tar.gz"} {
		first := built(t, older, suffix)
		a, err := os.ReadFile(first)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(elsewhere, filepath.Base(first)))
		if err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: another build has other bytes, %v", filepath.Base(first), err)
		}
	}
	if left, err := os.ReadDir(elsewhere); err != nil || len(left) != 3 {
		t.Errorf("left are %v, %v", left, err)
	}
}

// compare reports files that differ in one byte.
func TestCompare(t *testing.T) {
	r := release{version: older, targets: targets[:2]}
	first, second := t.TempDir(), t.TempDir()
	for _, dir := range []string{first, second} {
		for _, target := range r.targets {
			if err := os.WriteFile(filepath.Join(dir, target.file(older)), []byte("package"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := r.compare(first, second); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(second, targets[1].file(older)), []byte("Package"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.compare(first, second); err == nil || !strings.Contains(err.Error(), "arm64.deb") {
		t.Errorf("got %v", err)
	}
}
