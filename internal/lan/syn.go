package lan

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"nightporter/internal/ether"

	"golang.org/x/sys/unix"
)

// saveWithLink makes the kernel keep the SYN of a connection with its Ethernet header
// (TCP_SAVE_SYN of linux/tcp.h; Linux 5.10).
const saveWithLink = 2

// SaveSYN makes the kernel keep the frame that opens each connection of a listener. It is
// a Control of net.ListenConfig. A kernel before Linux 5.10 keeps none, which is not an
// error.
func SaveSYN(_, _ string, c syscall.RawConn) error {
	var err error
	if failed := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_SAVE_SYN, saveWithLink)
	}); failed != nil {
		return failed
	}
	if errors.Is(err, unix.EINVAL) {
		return nil
	}
	return err
}

// SavesSYN reports whether the kernel keeps the frames that open the connections of a
// listener.
func SavesSYN(listener syscall.Conn) bool {
	value := 0
	c, err := listener.SyscallConn()
	if err == nil {
		err = c.Control(func(fd uintptr) { value, _ = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_SAVE_SYN) })
	}
	return err == nil && value == saveWithLink
}

// maxSYN is the largest frame that can be kept: Ethernet, IPv6 with extension headers,
// TCP with all options.
const maxSYN = 1024

// SYNSource returns the source of the Ethernet frame that opened an accepted connection.
// The kernel returns it once per connection. It is the zero MAC if the kernel did not
// keep the frame, as while it sends SYN cookies (RFC 4987 section 3.6), and on the
// loopback interface, whose frames have no source.
func SYNSource(conn syscall.Conn) (ether.MAC, error) {
	c, err := conn.SyscallConn()
	if err != nil {
		return ether.MAC{}, err
	}
	var frame [maxSYN]byte
	size := uint32(len(frame))
	var errno syscall.Errno
	if err := c.Control(func(fd uintptr) {
		_, _, errno = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.IPPROTO_TCP, unix.TCP_SAVED_SYN,
			uintptr(unsafe.Pointer(&frame[0])), uintptr(unsafe.Pointer(&size)), 0)
	}); err != nil {
		return ether.MAC{}, err
	}
	if errno != 0 {
		return ether.MAC{}, fmt.Errorf("read the frame that opened a connection: %w", errno)
	}
	if size < ethernetHeader {
		return ether.MAC{}, nil
	}
	return ether.MAC(frame[len(ether.MAC{}):]), nil
}
