package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// benchProgram is the program that benchmarks measure.
var benchProgram = flag.String("nightporter", "", "measure this `program` instead of the one of this tree")

// runTests builds the program as it is delivered if a benchmark is to run: a test binary
// has another size and, with the race detector, another speed.
func runTests(m *testing.M) int {
	if *benchProgram != "" || flag.Lookup("test.bench").Value.String() == "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "nightporter-bench-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	*benchProgram = filepath.Join(dir, "nightporter")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", *benchProgram, "nightporter/cmd/nightporter")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the program:", err)
		return 1
	}
	return m.Run()
}
