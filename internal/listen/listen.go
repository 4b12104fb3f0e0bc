// Package listen says why a port cannot be listened on, and what to do about it.
package listen

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// Explain returns the reason of an error of net.Listen, with the remedy where one is known.
// addr is of the form "host:port".
func Explain(addr string, err error) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err
	}
	switch errno {
	case syscall.EADDRINUSE:
		_, port, _ := net.SplitHostPort(addr) // else there would be another error
		return fmt.Errorf("%w: `ss -ltnp 'sport = :%s'` shows by what; choose another port, or stop that", errno, port)
	case syscall.EACCES:
		return fmt.Errorf("%w: a port below 1024 needs CAP_NET_BIND_SERVICE", errno)
	}
	return errno
}
