package bench

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"nightporter/internal/lab/labtest"
)

// exe is the program that is measured.
var exe = flag.String("nightporter", "", "measure this `program` instead of the one of this tree")

func TestMain(m *testing.M) {
	labtest.Enter()
	flag.Parse()
	os.Exit(run(m))
}

// run builds the program as it is delivered, if there is a benchmark to run: a
// test binary would have another size and, with the race detector, speed.
func run(m *testing.M) int {
	if *exe != "" || flag.Lookup("test.bench").Value.String() == "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "nightporter-bench-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	*exe = filepath.Join(dir, "nightporter")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", *exe, "nightporter/cmd/nightporter")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the program:", err)
		return 1
	}
	return m.Run()
}
