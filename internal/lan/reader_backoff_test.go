package lan

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// faultySocket fails every read with the next of its errors.
type faultySocket struct {
	packetConn
	syscall.RawConn
	reader *reader
	errnos []unix.Errno
	reads  []time.Duration // when they were, after the first
	start  time.Time
}

func (s *faultySocket) SetReadDeadline(time.Time) error { return nil }

func (s *faultySocket) Read(func(uintptr) bool) error {
	if s.start.IsZero() {
		s.start = time.Now()
	}
	s.reads = append(s.reads, time.Since(s.start))
	s.reader.errno = s.errnos[min(len(s.reads), len(s.errnos))-1]
	return nil
}

func (s *faultySocket) run(ctx context.Context) error {
	socket := &packetSocket{name: "eth0", log: slog.New(slog.DiscardHandler), conn: s, raw: s}
	s.reader = newReader(func(*Packet) {}, new([verdicts]atomic.Uint64))
	return socket.read(ctx, s.reader)
}

// A read error that may pass must not make the reader spin.
func TestReaderBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &faultySocket{errnos: []unix.Errno{
			unix.ENOBUFS, unix.ENOMEM, unix.ENOBUFS, unix.ENOBUFS, unix.ENOBUFS,
			unix.ENOBUFS, unix.ENOBUFS, unix.ENOBUFS, unix.ENOBUFS, unix.ENOTSOCK,
		}}
		if err := s.run(t.Context()); !errors.Is(err, unix.ENOTSOCK) {
			t.Errorf("error %v, want the one that does not pass", err)
		}
		const ms = time.Millisecond
		want := []time.Duration{0, 10 * ms, 30 * ms, 70 * ms, 150 * ms, 310 * ms, 630 * ms, 1270 * ms, 2270 * ms, 3270 * ms}
		if diff := cmp.Diff(want, s.reads); diff != "" {
			t.Errorf("times of the reads (-want +got):\n%s", diff)
		}
	})
}

func TestReaderEndsWhileItBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		s := &faultySocket{errnos: []unix.Errno{unix.ENOBUFS}}
		if err := s.run(ctx); err != nil {
			t.Errorf("error %v, want none", err)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("it ended after %v, want 3s", took)
		}
	})
}
