package e2e

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStartUnderAServiceManager: the daemon notifies the service manager that it is ready,
// repeatedly that its loop runs, and that it stops (sd_notify(3)).
func TestStartUnderAServiceManager(t *testing.T) {
	t.Parallel()
	ctx, lan := newLAN(t)
	path := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	host := lan.Porter()
	state := t.TempDir()
	// The daemon's user must enter the directory of the test, and the socket has the mode of
	// systemd's.
	if err := errors.Join(os.Chmod(filepath.Dir(state), 0o711), os.Chmod(path, 0o777)); err != nil {
		t.Fatal(err)
	}
	cmd := host.Command(ctx, os.Args[0], "serve", "--state_dir", state, "--http.listen", "127.0.0.1:0", "--registration.listen", "127.0.0.1:0")
	cmd.Env = append(append(os.Environ(), programEnv...), "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=150000")
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := host.Start(cmd); err != nil {
		t.Fatal(err)
	}
	deadline, _ := ctx.Deadline()
	if err := manager.SetReadDeadline(deadline.Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 100)
	next := func() string {
		t.Helper()
		n, err := manager.Read(buffer)
		if err != nil {
			t.Fatalf("the manager hears nothing more: %v", err)
		}
		return string(buffer[:n])
	}
	for _, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1"} {
		if got := next(); got != want {
			t.Errorf("the manager hears %q, want %q", got, want)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	said := next()
	for said == "WATCHDOG=1" {
		said = next()
	}
	if said != "STOPPING=1" {
		t.Errorf("the manager hears %q at the end", said)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestFailureUnderAServiceManager: a daemon that cannot start sends the reason to the service
// manager in one line.
func TestFailureUnderAServiceManager(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	conf := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(conf, []byte("wake:\n  atempts: 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	if code, _, errs := runInProcess(t, "serve", "--config", conf); code != 1 {
		t.Fatalf("exit code %d, %q", code, errs)
	}
	if err := manager.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 1000)
	n, err := manager.Read(buffer)
	if said := string(buffer[:n]); err != nil || !strings.HasPrefix(said, "STATUS=the configuration is not valid: wake.atempts: unknown key ") || strings.Contains(said, "\n") {
		t.Errorf("the manager hears %q, %v", said, err)
	}
}
