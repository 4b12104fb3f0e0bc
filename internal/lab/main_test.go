package lab_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"nightporter/internal/lab"
)

const (
	// childMode in the environment makes the test binary a helper process.
	childMode = "LAB_TEST_CHILD"
	// patience is how long a test waits for what must happen.
	patience = 20 * time.Second
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" && mode != "exit" && mode != "signal" {
		os.Exit(child(mode))
	}
	code, reexeced, err := lab.EnterUserNamespace()
	if reexeced {
		os.Exit(code)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "no user namespace:", err) // each test that needs one says so
	}
	if mode := os.Getenv(childMode); mode != "" {
		os.Exit(child(mode))
	}
	goleak.VerifyTestMain(m)
}

// need skips the test where no LAN can be built; in CI that is a failure.
func need(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a lab: not with -short")
	}
	if err := lab.Available(); err != nil {
		skip(t, "no LAN can be built here: "+err.Error())
	}
}

func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func newLAN(t *testing.T) *lab.LAN {
	t.Helper()
	need(t)
	l, err := lab.New(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func addMachine(t *testing.T, l *lab.LAN, cfg lab.MachineConfig) *lab.Machine {
	t.Helper()
	m, err := l.AddMachine(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, e := range m.Log() {
			if e.Kind == lab.Failed {
				t.Errorf("machine %s: %s", m.Name(), e.Detail)
			}
		}
	})
	return m
}

// nas is a machine with one IPv4 address and a TCP service, quick to wake.
func nas() lab.MachineConfig {
	return lab.MachineConfig{
		Name:     "nas",
		Addrs:    []netip.Prefix{netip.MustParsePrefix("10.77.0.20/24")},
		Boot:     20 * time.Millisecond,
		Services: []lab.ServiceConfig{{Network: "tcp", Port: 22}},
	}
}

// nas6 has IPv6 as well, and a UDP service.
func nas6() lab.MachineConfig {
	cfg := nas()
	cfg.Addrs = append(cfg.Addrs, netip.MustParsePrefix("fd77::20/64"))
	cfg.Services = append(cfg.Services, lab.ServiceConfig{Network: "udp", Port: 53})
	return cfg
}

func putToSleep(t *testing.T, m *lab.Machine) {
	t.Helper()
	if err := m.Sleep(testContext(t)); err != nil {
		t.Fatal(err)
	}
	wait(t, m, lab.AsleepNow)
}

func wait(t *testing.T, m *lab.Machine, kind lab.EventKind) lab.Event {
	t.Helper()
	e, err := m.WaitEvent(testContext(t), kind)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// served fails the test unless the machine's TCP service at addr greets h and
// echoes.
func served(t *testing.T, h *lab.Host, addr string, name string) {
	t.Helper()
	conn, err := h.Dial(testContext(t), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("knock")); err != nil {
		t.Fatal(err)
	}
	want := lab.Banner(name) + "knock"
	if got := read(t, conn, len(want)); got != want {
		t.Errorf("%s said %q, want %q", addr, got, want)
	}
}
