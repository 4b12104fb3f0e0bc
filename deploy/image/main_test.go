package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// makeImage runs the program for one platform, and returns the path of the archive.
func makeImage(t *testing.T) []byte {
	t.Helper()
	target, dir := runtime.GOARCH, t.TempDir()
	if target == "arm" {
		target = "arm/7"
	}
	cmd := exec.CommandContext(t.Context(), "make", "-C", "../..", "image", "TARGETS="+target, "DIST="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return slurp(t, filepath.Join(dir, "nightporter-image.tar"))
}

// make image works in a folder with a space in its path.
func TestMakeImageWithSpace(t *testing.T) {
	makefile, err := filepath.Abs("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "my clone")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	const goes = "#!/bin/sh\n[ \"$1\" = version ] && echo go version go1.99 || printf '%s\\n' \"$@\" >arguments\n"
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte(goes), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "make", "-f", makefile, "image", "GO=./go", "TARGETS=arm64 arm/6")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := dir + "/dist/nightporter-image.tar\n" + dir + "/dist/nightporter-linux-arm64\n" + dir + "/dist/nightporter-linux-armv6\n"
	if got := string(slurp(t, filepath.Join(dir, "arguments"))); !strings.HasSuffix(got, want) {
		t.Errorf("the arguments are\n%s", got)
	}
}

func slurp(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// unpack extracts an archive into a directory.
func unpack(t *testing.T, archive []byte) string {
	t.Helper()
	dir := t.TempDir()
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, h.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// open returns the index of the layout in dir, which has one name.
func open(t *testing.T, dir string) v1.ImageIndex {
	t.Helper()
	top, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := top.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 {
		t.Fatalf("index.json has %d entries, expected one, or Podman does not load it", len(manifest.Manifests))
	}
	entry := manifest.Manifests[0]
	if found := entry.Annotations["io.containerd.image.name"]; found != "docker.io/library/nightporter:latest" {
		t.Errorf("the image is named %q", found)
	}
	index, err := top.ImageIndex(entry.Digest)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

// TestMakeTwice: a commit always gives the same bytes.
func TestMakeTwice(t *testing.T) {
	first, second := makeImage(t), makeImage(t)
	if !bytes.Equal(first, second) {
		t.Errorf("two archives of one commit differ: %d and %d bytes", len(first), len(second))
	}
	checkImage(t, unpack(t, first), 1)
}

// TestBadInput: the error names the wrong input, and no file is written.
func TestBadInput(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, epoch string
		programs    []string
		says        string
	}{
		{"no time", "", []string{self}, `SOURCE_DATE_EPOCH: found ""`},
		{"time before 1970", "-1", []string{self}, `SOURCE_DATE_EPOCH: found "-1"`},
		{"no program", "0", nil, "make cross"},
		{"missing program", "0", []string{text + "s"}, text + "s"},
		{"no Go program", "0", []string{text}, "not a program built by Go"},
		{"other program", "0", []string{self}, `expected "nightporter/cmd/nightporter"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("SOURCE_DATE_EPOCH", c.epoch)
			out := filepath.Join(t.TempDir(), "image.tar")
			err := run(options{out: out, license: "../../LICENSE", programs: c.programs})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("found %v, expected an error with %s", err, c.says)
			}
			if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the archive: %v, expected none", err)
			}
		})
	}
}
