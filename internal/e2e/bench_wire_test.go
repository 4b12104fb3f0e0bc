package e2e

import (
	"encoding/binary"
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightporter/internal/lab"
)

const (
	wireBuffer   = 32 << 20 // holds all frames of one round; the benchmark reads them afterwards
	benchTimeout = 5 * time.Second
	pollInterval = time.Millisecond
)

// wire is a packet socket on a host's interface. The kernel records frames with its timestamps,
// and the benchmark reads them after the measurement. On a small computer a reader that woke
// for each frame would take processor time from the daemon.
type wire struct {
	testing.TB
	fd      int
	buffer  []byte
	control []byte
}

// record is one sent or received frame. It is valid until the next one is read.
type record struct {
	frame []byte
	at    time.Time
}

// openSender opens a socket that only sends.
func openSender(b testing.TB, h *lab.Host) *wire { return openWire(b, h, 0) }

// recordWire opens a socket that records all frames, sent and received.
func recordWire(b testing.TB, h *lab.Host) *wire { return openWire(b, h, unix.ETH_P_ALL) }

func openWire(b testing.TB, h *lab.Host, protocol uint16) *wire {
	b.Helper()
	w := &wire{TB: b, fd: -1, buffer: make([]byte, 1<<16), control: make([]byte, 64)}
	err := h.Do(func() error {
		ifi, err := net.InterfaceByName(lab.Interface)
		if err != nil {
			return err
		}
		// Protocol 0: no frame is received before the socket is bound.
		w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		if err := setReceiveBuffer(w.fd, wireBuffer); err != nil {
			return err
		}
		if err := unix.SetsockoptInt(w.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1); err != nil {
			return err
		}
		network := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, protocol))
		return unix.Bind(w.fd, &unix.SockaddrLinklayer{Ifindex: ifi.Index, Protocol: network})
	})
	b.Cleanup(w.close)
	if err != nil {
		b.Fatalf("packet socket on %s: %v", h.Name(), err)
	}
	return w
}

// close ends the recording, which costs the kernel a copy of each frame.
func (w *wire) close() {
	if w.fd >= 0 {
		unix.Close(w.fd) // no data can be lost
		w.fd = -1
	}
}

// setReceiveBuffer sets a socket's receive buffer, beyond the system's limit where that is
// permitted. It is not permitted in a user namespace.
func setReceiveBuffer(fd, size int) error {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size) == nil {
		return nil
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size)
}

func (w *wire) send(frame []byte) {
	if _, err := unix.Write(w.fd, frame); err != nil {
		w.Helper()
		w.Fatal("send a frame:", err)
	}
}

// next returns the next recorded frame, or nil.
func (w *wire) next() *record {
	n, oobn, _, _, err := unix.Recvmsg(w.fd, w.buffer, w.control, 0)
	if err == unix.EAGAIN {
		return nil
	}
	if err != nil {
		w.Fatal("read a recorded frame:", err)
	}
	return &record{frame: w.buffer[:n], at: w.timestamp(w.control[:oobn])}
}

// timestamp reads a struct __kernel_timespec: two 64-bit words on each architecture.
func (w *wire) timestamp(control []byte) time.Time {
	header, data, _, err := unix.ParseOneSocketControlMessage(control)
	if err != nil || header.Type != unix.SO_TIMESTAMPNS_NEW || len(data) < 16 {
		w.Fatalf("no timestamp with a frame (%v)", err)
	}
	return time.Unix(int64(binary.NativeEndian.Uint64(data)), int64(binary.NativeEndian.Uint64(data[8:])))
}

// missed ends the benchmark because a frame was not seen. The message says so if the recording
// has lost frames.
func (w *wire) missed(format string, args ...any) {
	w.Helper()
	if stats, err := unix.GetsockoptTpacketStats(w.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil && stats.Drops > 0 {
		format += fmt.Sprintf("; but the recording lost %d frames: run as root, or with a larger net.core.rmem_max", stats.Drops)
	}
	w.Fatalf(format, args...)
}

// skip discards the recorded frames.
func (w *wire) skip() {
	for w.next() != nil {
	}
}

// interval returns the time between the first frame that cause matches and the first later
// frame that effect matches.
func (w *wire) interval(cause, effect matcher) time.Duration {
	w.Helper()
	var began time.Time
	for deadline := time.Now().Add(benchTimeout); time.Now().Before(deadline); time.Sleep(pollInterval) {
		for r := w.next(); r != nil; r = w.next() {
			switch {
			case began.IsZero():
				if cause(r) {
					began = r.at
				}
			case effect(r):
				return r.at.Sub(began)
			}
		}
	}
	if began.IsZero() {
		w.missed("the frame that was sent was not seen on the wire")
	}
	w.missed("no answer on the wire within %v", benchTimeout)
	return 0
}
