// Package vmtest gives tests virtual machines, or skips them.
package vmtest

import (
	"flag"
	"net/netip"
	"os"
	"testing"

	"nightporter/internal/lab"
	"nightporter/internal/vm"
)

var wanted = flag.Bool("vm", false, "tests with virtual machines; see `make vm`")

// Need skips the test where virtual machines were not asked for, or cannot run. In CI
// it is a failure that what was asked for cannot run.
func Need(tb testing.TB) {
	tb.Helper()
	if !*wanted {
		tb.Skip("boots virtual machines: run by `make vm`")
	}
	err := vm.Available()
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		tb.Fatal(err)
	default:
		tb.Skip(err)
	}
}

// New puts a Debian machine on a LAN, off, which ends with the test. If the test
// fails, its console and what happened to it are in the test's log.
func New(tb testing.TB, lan *lab.LAN, name string, addrs ...netip.Prefix) *vm.Machine {
	tb.Helper()
	Need(tb)
	image, err := vm.Debian(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	m, err := vm.New(tb.Context(), lan, vm.Config{Name: name, Addrs: addrs, Image: image, Dir: tb.TempDir()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := m.Close(); err != nil {
			tb.Error(err)
		}
		if tb.Failed() {
			tb.Logf("%s: %v\nthe console of %s:\n%s", name, m.Log(), name, m.Console())
		}
	})
	return m
}
