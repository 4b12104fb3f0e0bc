package lan

import (
	"fmt"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Send puts one whole Ethernet frame on the wire, or says why it could not. It
// does not wait: a full queue (EAGAIN, ENOBUFS) is an error. It does not
// allocate, and does not keep frame.
func (i *Interface) Send(frame []byte) error {
	if err := i.sender.send(frame); err != nil {
		return i.unlessClosed(fmt.Errorf("send a frame of %d octets: %w", len(frame), err))
	}
	return nil
}

// sender keeps what a write needs from one frame to the next, so that none of
// it is allocated again.
type sender struct {
	raw   syscall.RawConn
	write func(fd uintptr) bool

	mu    sync.Mutex
	frame []byte
	err   error
}

func newSender(raw syscall.RawConn) *sender {
	s := &sender{raw: raw}
	s.write = s.writeOnce
	return s
}

func (s *sender) send(frame []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frame, s.err = frame, nil
	err := s.raw.Write(s.write)
	s.frame = nil
	if err != nil {
		return err
	}
	return s.err
}

// writeOnce always is done: to wait until the queue has room again would hold up
// the caller for a frame that is late by then.
func (s *sender) writeOnce(fd uintptr) bool {
	for {
		_, s.err = unix.Write(int(fd), s.frame)
		if s.err != unix.EINTR {
			return true
		}
	}
}
