package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"nightporter/internal/lab"
)

// asProgram in the environment makes the test binary be nightporter itself, so
// that the end-to-end tests run the code under test, race detector included.
const asProgram = "TEST_AS_NIGHTPORTER"

// programEnv makes a child the program. Its race detector must not add the
// second it otherwise waits at the exit.
var programEnv = []string{asProgram + "=1", "GORACE=atexit_sleep_ms=0"}

// labError is why there can be no lab here; nil where there can.
var labError error

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
	}
	code, elsewhere, err := lab.EnterUserNamespace()
	if elsewhere {
		os.Exit(code)
	}
	if labError = err; err != nil {
		fmt.Fprintln(os.Stderr, "end-to-end tests cannot run here:", err)
	}
	os.Exit(m.Run())
}
