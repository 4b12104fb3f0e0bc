// Package labtest gives tests a lab, or skips them where there can be none.
package labtest

import (
	"context"
	"fmt"
	"os"
	"testing"

	"nightporter/internal/lab"
)

// Enter is to be called first thing in TestMain. Without root it runs the tests
// again in a user namespace, where the kernel allows that, and exits with their
// code.
func Enter() {
	code, elsewhere, err := lab.EnterUserNamespace()
	if elsewhere {
		os.Exit(code)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "no user namespace:", err) // each test that needs one says so
	}
}

// Need skips the test where no LAN can be built. In CI that is a failure: a skip
// would hide that nothing was proved. With -short no test has a LAN.
func Need(tb testing.TB) {
	tb.Helper()
	if testing.Short() {
		tb.Skip("needs a lab: not with -short")
	}
	err := lab.Available()
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		tb.Fatal("no LAN can be built here:", err)
	default:
		tb.Skip("no LAN can be built here:", err)
	}
}

// New builds a LAN that ends with the test, after everything that the test
// itself cleans up.
func New(tb testing.TB) *lab.LAN {
	tb.Helper()
	Need(tb)
	lan, err := lab.New(context.WithoutCancel(tb.Context()))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := lan.Close(); err != nil {
			tb.Error("close the lab:", err)
		}
	})
	return lan
}
