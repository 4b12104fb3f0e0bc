package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"nightporter/internal/cli"
	"nightporter/internal/demo"
	"nightporter/internal/lab/labtest"
)

// asProgram in the environment makes the test binary nightporter itself. So the end-to-end
// tests run the code under test, with the race detector.
const asProgram = "TEST_AS_NIGHTPORTER"

// programEnv makes a child process the program. Its race detector does not wait a second at the
// exit.
var programEnv = []string{asProgram + "=1", "GORACE=atexit_sleep_ms=0"}

// asDemo in the environment makes the test binary nightporter-demo.
const asDemo = "TEST_AS_DEMO"

// withoutNetAdmin in the environment removes CAP_NET_ADMIN from the program.
const withoutNetAdmin = "TEST_WITHOUT_NET_ADMIN"

// dropNetAdmin executes this program again without CAP_NET_ADMIN in the bounding set, which
// limits root too.
func dropNetAdmin() error {
	runtime.LockOSThread() // the bounding set belongs to the thread
	if err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_NET_ADMIN, 0, 0, 0); err != nil {
		return fmt.Errorf("drop CAP_NET_ADMIN: %w", err)
	}
	if err := os.Unsetenv(withoutNetAdmin); err != nil {
		return err
	}
	return unix.Exec("/proc/self/exe", os.Args, os.Environ())
}

func TestMain(m *testing.M) {
	if os.Getenv(withoutNetAdmin) != "" {
		fmt.Fprintln(os.Stderr, dropNetAdmin())
		os.Exit(1)
	}
	if numbers := os.Getenv(confinedTo); numbers != "" {
		fmt.Fprintln(os.Stderr, confine(numbers))
		os.Exit(1)
	}
	if file := os.Getenv(contained); file != "" {
		fmt.Fprintln(os.Stderr, containSelf(file))
		os.Exit(1)
	}
	if os.Getenv(asProgram) != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		os.Exit(cli.Run(ctx, os.Args[1:], os.Stdout, os.Stderr))
	}
	if os.Getenv(asDemo) != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		os.Exit(demo.Main(ctx, os.Args[1:], os.Stdout, os.Stderr))
	}
	if kind := os.Getenv(asServer); kind != "" {
		fmt.Fprintln(os.Stderr, serveAs(kind, os.Args[1]))
		os.Exit(1)
	}
	labtest.Enter()
	if err := wideByDefault(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(runTests(m))
}

// wideByDefault runs five tests at a time for each processor, unless the command line has
// another number. Most tests wait most of their time, each in a LAN of its own.
func wideByDefault() error {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if chosen {
		return nil
	}
	return flag.Set("test.parallel", strconv.Itoa(5*runtime.NumCPU()))
}
