package lan

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"nightporter/internal/wait"
)

const (
	// The largest frame that the kernel makes of several (GRO) has 64 KiB and headers.
	frameBuffer = 1<<16 + 64

	// How often the reader checks whether an interface still exists while the link is
	// down.
	downPoll = 250 * time.Millisecond

	// The pause after a temporary error (no memory), doubled each time.
	minBackOff = 10 * time.Millisecond
	maxBackOff = time.Second
)

// errGone ends a reader whose interface was removed.
var errGone = errors.New("the interface is gone")

// Run reads frames until ctx ends, and then returns nil. It passes each well formed frame
// of ARP and IP to handle, which runs on the goroutine of the reader and must not block.
// The Packet is valid until handle returns. Run counts malformed frames (see Rejected)
// and ignores frames of other types, which some network cards send while their machine
// sleeps. It waits while the link is down. It returns an error if the interface is
// removed or the socket is closed. Only one Run may be active at a time.
func (t *packetSocket) Run(ctx context.Context, handle func(*Packet)) error {
	r := newReader(handle, &t.rejected)
	if err := t.conn.SetReadDeadline(time.Time{}); err != nil {
		return t.unlessClosed(fmt.Errorf("read: %w", err))
	}
	ended := make(chan struct{})
	cancelled := context.AfterFunc(ctx, func() {
		defer close(ended)
		r.stop.Store(true)
		// This ends the wait for the next frame. It fails only on a closed socket,
		// where no read waits.
		_ = t.conn.SetReadDeadline(time.Unix(1, 0))
	})
	err := t.read(ctx, r)
	if !cancelled() {
		<-ended
	}
	if ctx.Err() != nil {
		return nil
	}
	return t.unlessClosed(fmt.Errorf("read: %w", err))
}

// read returns when ctx ends or the socket is unusable.
func (t *packetSocket) read(ctx context.Context, r *reader) error {
	drain := r.drain // once, because a method value allocates
	backOff, down := minBackOff, false
	for {
		before := r.frames
		err := t.raw.Read(drain)
		if ctx.Err() != nil {
			return nil
		}
		if r.frames != before {
			backOff = minBackOff
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if t.gone() {
				return errGone
			}
			if down && r.frames != before {
				down = false
				t.log.Debug("the link is up again", "event", "link_up")
			}
		case err != nil:
			return err
		case r.errno == unix.ENETDOWN:
			if t.gone() {
				return errGone
			}
			if !down {
				t.log.Debug("the link is down", "event", "link_down")
			}
			down = true
		case r.errno == unix.ENOBUFS || r.errno == unix.ENOMEM:
			t.log.Warn("cannot read frames for the moment", "event", "read_failed", "err", r.errno, "wait", backOff)
			if !wait.For(ctx, backOff) {
				return nil
			}
			backOff = min(2*backOff, maxBackOff)
		default:
			return r.errno
		}
		if err := t.watchDown(down); err != nil {
			return err
		}
		// The deadline that cancels may have been set before this one.
		if ctx.Err() != nil {
			return nil
		}
	}
}

// watchDown makes the next read return after downPoll if the link is down: the kernel
// reports to the socket that the link went down, but not that the interface was removed
// later.
func (t *packetSocket) watchDown(down bool) error {
	var deadline time.Time
	if down {
		deadline = time.Now().Add(downPoll)
	}
	return t.conn.SetReadDeadline(deadline)
}

// gone reports whether the kernel has detached the socket from its interface.
func (t *packetSocket) gone() bool {
	gone := false
	err := t.raw.Control(func(fd uintptr) {
		sa, err := unix.Getsockname(int(fd))
		if ll, ok := sa.(*unix.SockaddrLinklayer); err == nil && ok {
			gone = ll.Ifindex != t.index
		}
	})
	return gone || err != nil
}

// reader keeps the arguments of recvmsg(2), so that no read allocates. One goroutine uses
// it; others may set stop.
type reader struct {
	handle   func(*Packet)
	rejected *[verdicts]atomic.Uint64
	stop     atomic.Bool

	packet  Packet
	buffer  []byte
	control [controlWords]uint64 // of words, for the alignment of a Cmsghdr
	iov     unix.Iovec
	msg     unix.Msghdr

	frames uint64     // received so far
	errno  unix.Errno // why drain ended
}

func newReader(handle func(*Packet), rejected *[verdicts]atomic.Uint64) *reader {
	r := &reader{handle: handle, rejected: rejected, buffer: make([]byte, frameBuffer)}
	r.iov.Base = &r.buffer[0]
	r.iov.SetLen(len(r.buffer))
	r.msg.Iov = &r.iov
	r.msg.SetIovlen(1)
	r.msg.Control = (*byte)(unsafe.Pointer(&r.control[0]))
	return r
}

// drain reads until the queue is empty, and then returns false to wait. It returns true
// when it has to stop, because of errno or stop.
func (r *reader) drain(fd uintptr) bool {
	r.errno = 0
	for !r.stop.Load() {
		n, errno := r.receive(fd)
		switch errno {
		case 0:
			r.deliver(r.buffer[:n])
		case unix.EAGAIN:
			return false
		case unix.EINTR:
		default:
			r.errno = errno
			return true
		}
	}
	return true
}

// receive reads one frame into the buffer.
func (r *reader) receive(fd uintptr) (int, unix.Errno) {
	r.msg.SetControllen(int(unsafe.Sizeof(r.control)))
	n, _, errno := unix.Syscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&r.msg)), unix.MSG_DONTWAIT)
	return int(n), errno
}

// deliver passes one frame to the handler or counts why it is rejected.
func (r *reader) deliver(frame []byte) {
	r.frames++
	r.packet.Time, r.packet.Sum = r.ancillary()
	if v := r.packet.Parse(frame); v != Accepted {
		r.rejected[v].Add(1)
		return
	}
	if r.packet.Kind == Other { // few of them pass the kernel filter
		return
	}
	r.handle(&r.packet)
}

const (
	// struct __kernel_timespec: two 64-bit words on every architecture.
	timespecLength = 16

	// The room for the control messages of a socket, a timestamp and a struct
	// tpacket_auxdata, in words of 64 bits.
	controlWords = 12
)

// ancillary returns the content of the control messages of the last frame: the time of
// its reception and the state of its checksum.
func (r *reader) ancillary() (received time.Time, sum Checksum) {
	control := (*[unsafe.Sizeof(r.control)]byte)(unsafe.Pointer(&r.control))
	rest := control[:min(int(r.msg.Controllen), len(control))]
	for len(rest) >= unix.CmsgLen(0) {
		header := (*unix.Cmsghdr)(unsafe.Pointer(&rest[0]))
		length := int(header.Len)
		if length < unix.CmsgLen(0) || length > len(rest) {
			break
		}
		data := rest[unix.CmsgLen(0):length]
		switch {
		case header.Level == unix.SOL_SOCKET && header.Type == unix.SO_TIMESTAMPNS_NEW && len(data) >= timespecLength:
			seconds := int64(binary.NativeEndian.Uint64(data))
			nanoseconds := int64(binary.NativeEndian.Uint64(data[8:]))
			received = time.Unix(seconds, nanoseconds)
		case header.Level == unix.SOL_PACKET && header.Type == unix.PACKET_AUXDATA && len(data) >= 4:
			sum = checksumOf(binary.NativeEndian.Uint32(data)) // tp_status comes first
		}
		rest = rest[min(unix.CmsgSpace(len(data)), len(rest)):]
	}
	return received, sum
}

// checksumOf returns the state of the checksum from the status of a frame (packet(7),
// PACKET_AUXDATA).
func checksumOf(status uint32) Checksum {
	switch {
	case status&unix.TP_STATUS_CSUMNOTREADY != 0:
		return Unfinished
	case status&unix.TP_STATUS_CSUM_VALID != 0:
		return Verified
	}
	return Unchecked
}
