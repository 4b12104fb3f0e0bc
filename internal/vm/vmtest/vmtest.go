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

var wanted = flag.Bool("vm", false, "run tests with virtual machines; see `make vm`")

// Need skips the test unless -vm is given and virtual machines can run. In CI it fails if
// they cannot run.
func Need(tb testing.TB, arch vm.Arch) {
	tb.Helper()
	need(tb, vm.Available, arch)
}

// NeedProgram is Need for a test that runs programs of another architecture and no machine.
func NeedProgram(tb testing.TB, arch vm.Arch) {
	tb.Helper()
	need(tb, vm.RunsHere, arch)
}

func need(tb testing.TB, available func(vm.Arch) error, arch vm.Arch) {
	tb.Helper()
	if !*wanted {
		tb.Skip("boots virtual machines: run by `make vm`")
	}
	err := available(arch)
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		tb.Fatal(err)
	default:
		tb.Skip(err)
	}
}

// New adds a Debian machine to a LAN, which is off and is closed with the test. If the test
// fails, the machine's events and console are logged.
func New(tb testing.TB, lan *lab.LAN, name string, addrs ...netip.Prefix) *vm.Machine {
	tb.Helper()
	return NewWith(tb, lan, vm.AMD64, "", name, addrs...)
}

// NewWith is New for any architecture, and with the files of a directory on a second disk.
func NewWith(tb testing.TB, lan *lab.LAN, arch vm.Arch, files, name string, addrs ...netip.Prefix) *vm.Machine {
	tb.Helper()
	Need(tb, arch)
	image, err := vm.Debian(tb.Context(), arch)
	if err != nil {
		tb.Fatal(err)
	}
	m, err := vm.New(tb.Context(), lan, vm.Config{Name: name, Addrs: addrs, Image: image, Dir: tb.TempDir(), Files: files})
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
