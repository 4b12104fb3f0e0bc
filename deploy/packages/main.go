// Command packages builds .deb, .rpm and tarballs for every platform. It runs at the top of
// the repository: make packages.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// options are the inputs of a build.
type options struct {
	repository string // its top folder
	out        string // the folder for the packages
	describe   string // the version, as git describe prints it
	revision   string // the commit
	epoch      string // the variable SOURCE_DATE_EPOCH
	only       string // suffixes of the files to build; empty: all
	twice      bool   // build twice and compare
}

func main() {
	var o options
	flag.StringVar(&o.repository, "repository", "../..", "the `DIRECTORY` of the repository")
	flag.StringVar(&o.out, "out", "../../dist", "the `DIRECTORY` for the packages")
	flag.StringVar(&o.describe, "version", "", "the `VERSION`, or what git describe prints")
	flag.StringVar(&o.revision, "revision", "unknown", "the `COMMIT`")
	flag.StringVar(&o.only, "only", "", "make only files whose names end in one of these `SUFFIXES`, such as amd64.deb,armv6.tar.gz")
	flag.BoolVar(&o.twice, "twice", false, "build everything a second time, and fail if a byte differs")
	flag.Parse()
	o.epoch = os.Getenv("SOURCE_DATE_EPOCH")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "packages:", err)
		os.Exit(1)
	}
}

// run builds the packages, and moves them to their folder when all are complete.
func run(ctx context.Context, o options) error {
	epoch, err := sourceDate(o.epoch)
	if err != nil {
		return err
	}
	r := release{options: o, date: epoch}
	if r.version, err = packageVersion(o.describe, epoch); err != nil {
		return err
	}
	if r.targets, err = chosen(o.only, r.version); err != nil {
		return err
	}
	for _, path := range []*string{&r.repository, &r.out} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(r.out, ".packages-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	first := filepath.Join(temp, "first")
	if err := r.build(ctx, first); err != nil {
		return err
	}
	if o.twice {
		second := filepath.Join(temp, "second")
		if err := r.build(ctx, second); err != nil {
			return err
		}
		if err := r.compare(first, second); err != nil {
			return err
		}
	}
	return r.move(first)
}

// sourceDate is the time of every file (reproducible-builds.org/specs/source-date-epoch).
func sourceDate(variable string) (time.Time, error) {
	seconds, err := strconv.ParseInt(variable, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: found %q, expected the time of the commit in seconds since 1970: `git log -1 --format=%%ct`", variable)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// chosen are the targets whose file names end in one of the suffixes.
func chosen(only, version string) ([]target, error) {
	if only == "" {
		return targets, nil
	}
	var found []target
	for suffix := range strings.SplitSeq(only, ",") {
		before := len(found)
		for _, t := range targets {
			if suffix != "" && strings.HasSuffix(t.file(version), suffix) {
				found = append(found, t)
			}
		}
		if len(found) == before {
			return nil, fmt.Errorf("-only: found %q, expected the end of a file's name, such as %s", suffix, targets[0].file(version))
		}
	}
	return found, nil
}

// move moves the packages into their folder, and prints their paths.
func (r release) move(from string) error {
	var all error
	for _, t := range r.targets {
		path := filepath.Join(r.out, t.file(r.version))
		if err := os.Rename(filepath.Join(from, t.file(r.version)), path); err != nil {
			all = errors.Join(all, err)
			continue
		}
		if err := os.Chmod(path, 0o644); err != nil {
			all = errors.Join(all, err)
		}
		fmt.Println(path)
	}
	return all
}
