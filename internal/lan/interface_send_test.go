package lan

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// full returns a socket that takes nothing more.
func full(t *testing.T) *os.File {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	other := os.NewFile(uintptr(fds[1]), "other")
	f := os.NewFile(uintptr(fds[0]), "full")
	t.Cleanup(func() { _ = errors.Join(f.Close(), other.Close()) })
	for {
		switch _, err := unix.Write(fds[0], make([]byte, 1500)); {
		case errors.Is(err, unix.EAGAIN):
			return f
		case err != nil:
			t.Fatal(err)
		}
	}
}

// TestFaultFullQueue: the loop does not wait for room in a queue, and a frame that
// the socket does not take says why.
func TestFaultFullQueue(t *testing.T) {
	f := full(t)
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	s := newFrameWriter(raw)
	for what, c := range map[string]struct {
		octets int
		want   error
	}{"full": {1500, unix.EAGAIN}, "too long": {16 << 20, unix.EMSGSIZE}} {
		done := make(chan error, 1)
		go func() { done <- s.send(make([]byte, c.octets)) }()
		select {
		case err := <-done:
			if !errors.Is(err, c.want) {
				t.Errorf("%s: error %v, want %v", what, err, c.want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: it waits", what)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.send(make([]byte, 60)); err == nil {
		t.Error("a closed socket takes a frame")
	}
}
