// Command image builds the container image of nightporter for all platforms, without a
// container engine. `make image` runs it.
//
// It is a module of its own, so that the libraries for images are no dependencies of the
// daemon.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"time"
)

// options are the inputs of an image.
type options struct {
	out      string // the archive to write
	version  string
	revision string // the commit
	license  string // file of the license
	created  time.Time
	programs []string // files, one for each platform
}

func main() {
	var o options
	flag.StringVar(&o.out, "out", "../../dist/nightporter-image.tar", "the `FILE` to write")
	flag.StringVar(&o.version, "version", "unknown", "the `VERSION` of the programs")
	flag.StringVar(&o.revision, "revision", "unknown", "the `COMMIT` of the programs")
	flag.StringVar(&o.license, "license", "../../LICENSE", "the `FILE` of the license")
	flag.Parse()
	o.programs = flag.Args()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
	fmt.Println(o.out)
}

func run(o options) (err error) {
	if o.created, err = sourceDate(os.Getenv("SOURCE_DATE_EPOCH")); err != nil {
		return err
	}
	if len(o.programs) == 0 {
		return errors.New("no program: expected the files that `make cross` builds")
	}
	programs := make([]program, 0, len(o.programs))
	for _, path := range o.programs {
		p, err := readProgram(path)
		if err != nil {
			return err
		}
		programs = append(programs, p)
	}
	license, err := os.ReadFile(o.license)
	if err != nil {
		return err
	}
	images, err := build(o, license, programs)
	if err != nil {
		return err
	}
	return images.write(o.out)
}

// sourceDate is the time of every file in the image, so that a commit always gives the same
// bytes (reproducible-builds.org/specs/source-date-epoch).
func sourceDate(variable string) (time.Time, error) {
	seconds, err := strconv.ParseInt(variable, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: found %q, expected the time of the commit in seconds since 1970: `git log -1 --format=%%ct`", variable)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
