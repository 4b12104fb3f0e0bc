package e2e

import (
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"nightporter/internal/lab"
)

const (
	pathPayload = 64
	// pathBuffer holds a flood.
	pathBuffer = 4 << 20
	// pathTimeout, in seconds, ends a wait for a lost packet.
	pathTimeout = 2
)

// trafficPath is a TCP connection between the client (near) and a host (far), and a pair of UDP
// sockets. One thread uses both ends: a frame passes the whole path into the far socket during
// the system call that sends it. So a slice measures the path alone, without the scheduler.
type trafficPath struct {
	*harness
	tcpNear, tcpFar int
	udpNear, udpFar int
	fds             []int
	buf             [pathPayload]byte
}

func openTrafficPath(h *harness, far *lab.Host, v6 bool) *trafficPath {
	h.Helper()
	l := &trafficPath{harness: h}
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

// socket opens a blocking socket in a host, at any free port.
func (l *trafficPath) socket(h *lab.Host, typ int, ip netip.Addr) (fd int) {
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

func (l *trafficPath) prepare(fd int) error {
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: pathTimeout}); err != nil {
		return fmt.Errorf("set a timeout: %w", err)
	}
	if err := setReceiveBuffer(fd, pathBuffer); err != nil {
		return fmt.Errorf("enlarge the buffer: %w", err)
	}
	return nil
}

func (l *trafficPath) connect(fd, to int) {
	l.Helper()
	addr, err := unix.Getsockname(to)
	l.must(err)
	l.must(unix.Connect(fd, addr))
}

func (l *trafficPath) close() {
	for _, fd := range l.fds {
		unix.Close(fd)
	}
}

// pass sends a message from one socket, and receives it at another.
func (l *trafficPath) pass(from, to int) {
	l.send(from)
	l.receive(to)
}

func (l *trafficPath) send(fd int) {
	if _, err := unix.Write(fd, l.buf[:]); err != nil {
		l.Fatal("send:", err)
	}
}

func (l *trafficPath) receive(fd int) {
	if n, err := unix.Read(fd, l.buf[:]); err != nil || n != pathPayload {
		l.Fatalf("receive: %d bytes of %d: %v", n, pathPayload, err)
	}
}

// exchangeTCP is a slice of requests and responses over TCP.
func (l *trafficPath) exchangeTCP() time.Duration { return l.exchange(l.tcpNear, l.tcpFar) }

// exchangeUDP is the same over UDP.
func (l *trafficPath) exchangeUDP() time.Duration { return l.exchange(l.udpNear, l.udpFar) }

func (l *trafficPath) exchange(near, far int) time.Duration {
	began := time.Now()
	for range roundTrips {
		l.pass(near, far)
		l.pass(far, near)
	}
	return time.Since(began)
}

// flood is a slice of small packets in bulk, one way. Each must arrive.
func (l *trafficPath) flood() (d time.Duration) {
	for range floodRounds {
		began := time.Now()
		for range floodPackets {
			l.send(l.udpNear)
		}
		d += time.Since(began)
		for range floodPackets {
			l.receive(l.udpFar)
		}
	}
	return d
}
