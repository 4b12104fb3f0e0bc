package lab_test

import (
	"bufio"
	"errors"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"nightporter/internal/lab"
)

func TestProcessRunsInTheHostAndEndsWithTheLAN(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	cmd := l.Porter().Command(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), childMode+"=addrs")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Porter().Start(cmd); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.Contains(line, "10.77.0.2/24") || !strings.Contains(line, "fd77::2/64") {
		t.Errorf("the process sees %q (%v), want the porter's addresses", line, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if sig := deathSignal(cmd.Wait()); sig != syscall.SIGKILL {
		t.Errorf("the process ended by signal %v, want %v", sig, syscall.SIGKILL)
	}
}

// deathSignal returns the signal that ended a process, or -1.
func deathSignal(err error) syscall.Signal {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return -1
	}
	return exit.Sys().(syscall.WaitStatus).Signal()
}

func TestProcessOutlivesTheThreadsOfDo(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	cmd := helper(t.Context(), "exit")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	if err := l.Client().Start(cmd); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if err := l.Client().Do(func() error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitStatus {
		t.Errorf("the process ended with %v, want exit status %d", err, exitStatus)
	}
	if err := l.Client().Start(exec.Command("/no/such/program")); err == nil {
		t.Error("a program that is not there was started")
	}
}

func TestDo(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	mine, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	failure := errors.New("as asked")
	err = l.Client().Do(func() error {
		if unix.Gettid() == os.Getpid() {
			t.Error("Do ran on the main thread")
		}
		theirs, err := os.Readlink("/proc/thread-self/ns/net")
		if err != nil || theirs == mine {
			t.Errorf("Do ran in %s (%v), outside is %s", theirs, err, mine)
		}
		return failure
	})
	if !errors.Is(err, failure) || !strings.Contains(err.Error(), lab.ClientName) {
		t.Errorf("Do returned %v, want the function's error with the host's name", err)
	}
	addMachine(t, l, nas())
	err = l.Client().Do(func() error {
		// A literal address is dialled on the calling goroutine.
		var d net.Dialer
		conn, err := d.DialContext(testContext(t), "tcp", "10.77.0.20:22")
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		t.Error(err)
	}
	if err := l.Client().Do(func() error { runtime.Goexit(); return nil }); err == nil {
		t.Error("Do returned nil for a function that never returned")
	}
	if now, err := os.Readlink("/proc/self/ns/net"); err != nil || now != mine {
		t.Errorf("the process is in %s (%v) after Do, want %s", now, err, mine)
	}
}
