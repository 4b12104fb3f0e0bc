package bench

import (
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"nightporter/internal/lab"
)

const (
	payload = 64
	// laneBuffer holds a flood.
	laneBuffer = 4 << 20
	// laneTimeout, in seconds, ends a wait for what got lost.
	laneTimeout = 2
)

// lane is a TCP connection between the client (near) and a host (far), and a
// pair of UDP sockets. One thread plays both ends: a frame passes the whole way
// into the far socket during the system call that sends it, so that a slice
// costs nothing but the path, and no scheduler's moods are in it.
type lane struct {
	*house
	tcpNear, tcpFar int
	udpNear, udpFar int
	fds             []int
	buf             [payload]byte
}

func (h *house) openLane(far *lab.Host, v6 bool) *lane {
	h.Helper()
	l := &lane{house: h}
	near := h.lan.Client()
	here, there := near.Addr4(), far.Addr4()
	if v6 {
		here, there = near.Addr6(), far.Addr6()
	}
	listener := l.socket(far, unix.SOCK_STREAM, there)
	h.must(unix.Listen(listener, 1))
	l.tcpNear = l.socket(near, unix.SOCK_STREAM, here)
	l.connect(l.tcpNear, listener)
	var err error
	l.tcpFar, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
	h.must(err)
	l.fds = append(l.fds, l.tcpFar)
	for _, fd := range []int{l.tcpNear, l.tcpFar} {
		h.must(l.prepare(fd))
		h.must(unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
	}
	l.udpNear, l.udpFar = l.socket(near, unix.SOCK_DGRAM, here), l.socket(far, unix.SOCK_DGRAM, there)
	l.connect(l.udpNear, l.udpFar)
	l.connect(l.udpFar, l.udpNear)
	return l
}

// socket makes a blocking one in a host, at any free port.
func (l *lane) socket(h *lab.Host, typ int, ip netip.Addr) (fd int) {
	l.Helper()
	l.must(h.Do(func() (err error) {
		var addr unix.Sockaddr = &unix.SockaddrInet6{Addr: ip.As16()}
		family := unix.AF_INET6
		if ip.Is4() {
			family, addr = unix.AF_INET, &unix.SockaddrInet4{Addr: ip.As4()}
		}
		if fd, err = unix.Socket(family, typ|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		l.fds = append(l.fds, fd)
		if err := l.prepare(fd); err != nil {
			return err
		}
		return unix.Bind(fd, addr)
	}))
	return fd
}

func (l *lane) prepare(fd int) error {
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: laneTimeout}); err != nil {
		return fmt.Errorf("set a timeout: %w", err)
	}
	if err := enlarge(fd, laneBuffer); err != nil {
		return fmt.Errorf("enlarge the buffer: %w", err)
	}
	return nil
}

func (l *lane) connect(fd, to int) {
	l.Helper()
	addr, err := unix.Getsockname(to)
	l.must(err)
	l.must(unix.Connect(fd, addr))
}

func (l *lane) close() {
	for _, fd := range l.fds {
		unix.Close(fd)
	}
}

// pass sends a message from one socket, and receives it at another.
func (l *lane) pass(from, to int) {
	l.put(from)
	l.take(to)
}

func (l *lane) put(fd int) {
	if _, err := unix.Write(fd, l.buf[:]); err != nil {
		l.Fatal("send:", err)
	}
}

func (l *lane) take(fd int) {
	if n, err := unix.Read(fd, l.buf[:]); err != nil || n != payload {
		l.Fatalf("receive: %d octets of %d: %v", n, payload, err)
	}
}

// converse is a slice of requests and responses over TCP.
func (l *lane) converse() time.Duration { return l.roundTrips(l.tcpNear, l.tcpFar) }

// pingPong is the same over UDP.
func (l *lane) pingPong() time.Duration { return l.roundTrips(l.udpNear, l.udpFar) }

func (l *lane) roundTrips(near, far int) time.Duration {
	began := time.Now()
	for range roundTrips {
		l.pass(near, far)
		l.pass(far, near)
	}
	return time.Since(began)
}

// flood is a slice of small packets in bulk, one way. Each must arrive.
func (l *lane) flood() (d time.Duration) {
	for range floods {
		began := time.Now()
		for range flood {
			l.put(l.udpNear)
		}
		d += time.Since(began)
		for range flood {
			l.take(l.udpFar)
		}
	}
	return d
}
