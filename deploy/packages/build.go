package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// release is one version, with the files that all its packages share.
type release struct {
	options
	version string
	date    time.Time
	targets []target
}

// build builds every package in a new directory.
func (r release) build(ctx context.Context, dir string) error {
	work := filepath.Join(dir, "work")
	if err := os.MkdirAll(work, 0o755); err != nil {
		return err
	}
	texts, err := r.generate(ctx, work)
	if err != nil {
		return err
	}
	built := map[platform][]byte{}
	for _, t := range r.targets {
		if built[t.build] == nil {
			if built[t.build], err = r.program(ctx, t.build, work); err != nil {
				return err
			}
		}
		if err := r.pack(t, texts, built[t.build], dir); err != nil {
			return fmt.Errorf("%s: %w", t.file(r.version), err)
		}
	}
	return os.RemoveAll(work)
}

// program builds the program for a platform and returns its content.
func (r release) program(ctx context.Context, p platform, work string) ([]byte, error) {
	path := filepath.Join(work, "nightporter-"+p.goarch+p.goarm)
	if err := r.compile(ctx, path, "GOARCH="+p.goarch, "GOARM="+p.goarm); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// compile builds the program. Of the repository only the version is in it, neither the path
// nor the state of the working tree.
func (r release) compile(ctx context.Context, path string, platform ...string) error {
	const vars = "github.com/prometheus/common/version"
	flags := fmt.Sprintf("-s -w -X %s.Version=%s -X %s.Revision=%s", vars, r.version, vars, r.revision)
	_, err := r.output(ctx, platform, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", path, "./cmd/nightporter")
	return err
}

// output runs a program at the top of the repository and returns its output.
func (r release) output(ctx context.Context, environment []string, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = r.repository
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOAMD64=v1", "GOFLAGS=")
	cmd.Env = append(cmd.Env, environment...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return out, nil
}

// read returns the content of a file of the repository.
func (r release) read(path string) ([]byte, error) {
	return os.ReadFile(filepath.Join(r.repository, path))
}

// compare returns an error if two builds differ.
func (r release) compare(first, second string) error {
	for _, t := range r.targets {
		name := t.file(r.version)
		a, err := os.ReadFile(filepath.Join(first, name))
		if err != nil {
			return err
		}
		b, err := os.ReadFile(filepath.Join(second, name))
		if err != nil {
			return err
		}
		if !bytes.Equal(a, b) {
			return fmt.Errorf("%s: two builds of one commit differ", name)
		}
	}
	return nil
}
