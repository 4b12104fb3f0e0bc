package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"nightporter/internal/lab/labtest"
)

// asProgram in the environment makes the test binary be nightporter itself, so
// that the end-to-end tests run the code under test, race detector included.
const asProgram = "TEST_AS_NIGHTPORTER"

// programEnv makes a child the program. Its race detector must not add the
// second it otherwise waits at the exit.
var programEnv = []string{asProgram + "=1", "GORACE=atexit_sleep_ms=0"}

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
	}
	labtest.Enter()
	os.Exit(m.Run())
}
