package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A Flood is a host that sends frames as fast as it can.
type Flood struct {
	cancel context.CancelFunc
	done   chan struct{}
	sent   atomic.Uint64
	err    error // after done
}

// floodBurst is how many frames go out between two looks at the clock.
const floodBurst = 64

// Flood sends what next returns, over and over, until Stop or the end of the LAN:
// at most rate frames a second, or with 0 as many as the host can. next fills the
// buffer that it gets, and returns the frame in it.
func (h *Host) Flood(rate int, next func(buffer []byte) []byte) (*Flood, error) {
	fd := -1
	err := h.ns.Do(func() (err error) {
		fd, err = floodSocket()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("host %s: flood: %w", h.name, err)
	}
	f := &Flood{done: make(chan struct{})}
	ctx, cancel := context.WithCancel(h.lan.ctx)
	f.cancel = cancel
	ok := h.lan.start(func() {
		defer close(f.done)
		defer unix.Close(fd) // nothing was written that could be lost
		f.err = f.run(ctx, fd, rate, next)
	})
	if !ok {
		cancel()
		return nil, errors.Join(fmt.Errorf("host %s: flood: %w", h.name, errClosed), unix.Close(fd))
	}
	return f, nil
}

func floodSocket() (int, error) {
	ifi, err := net.InterfaceByName(Interface)
	if err != nil {
		return -1, err
	}
	// Protocol 0: the socket is for sending only.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: ifi.Index}); err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

func (f *Flood) run(ctx context.Context, fd, rate int, next func([]byte) []byte) error {
	buffer := make([]byte, frameBuffer)
	began := time.Now()
	for ctx.Err() == nil {
		for range floodBurst {
			_, err := unix.Write(fd, next(buffer))
			if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
				return err
			}
			f.sent.Add(1)
		}
		if rate > 0 {
			due := time.Duration(f.sent.Load()) * time.Second / time.Duration(rate)
			if ahead := due - time.Since(began); ahead > 0 {
				time.Sleep(ahead)
			}
		}
	}
	return nil
}

// Sent returns how many frames the flood has sent so far.
func (f *Flood) Sent() uint64 { return f.sent.Load() }

// Stop ends the flood. An error means that it had ended before.
func (f *Flood) Stop() error {
	f.cancel()
	<-f.done
	return f.err
}
