package cli

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"nightporter/internal/registration"
	"nightporter/internal/web"
)

// porterAddress adds the default port to HOST, [IPV6] or a bare IPv6 address.
func porterAddress(to string) (string, error) {
	const expected = "expected HOST or HOST:PORT"
	if to == "" {
		return "", usagef("--to is missing: expected the porter's HOST or HOST:PORT")
	}
	if strings.Contains(to, "/") {
		return "", usagef("--to: found %q: %s, such as 192.168.1.2, and no URL", to, expected)
	}
	host, port, err := net.SplitHostPort(to)
	if err != nil {
		return net.JoinHostPort(strings.Trim(to, "[]"), defaultRegistrationPort), nil
	}
	if host == "" || port == "" {
		return "", usagef("--to: found %q: %s", to, expected)
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return "", usagef("--to: found %q: expected a port of 1 to 65535", to)
	}
	return to, nil
}

// explainUnreachable adds the remedy if err means that no porter accepts registrations at
// addr. It returns any other err unchanged.
func explainUnreachable(addr string, err error) error {
	host, port, splitErr := net.SplitHostPort(addr)
	if splitErr != nil {
		host = addr
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Errorf("cannot find the porter: no address for %q: give its IP address, such as --to 192.168.1.2", host)
	}
	refused, isRefused := errors.AsType[*registration.Rejection](err)
	switch dial, ok := errors.AsType[*net.OpError](err); {
	case err == nil || isRefused && !strings.HasPrefix(refused.Answer, "HTTP/"):
		return err
	case port == web.DefaultPort:
		return fmt.Errorf("%w: %s is the port of the page and the commands: machines register at another, %s by default", err, port, defaultRegistrationPort)
	case ok && dial.Op == "dial":
		return fmt.Errorf("no porter answers there (%w): is it running there, and its port open in the firewall?", withoutAddress(dial.Err))
	}
	return err
}

// withoutAddress returns the errno in err, without the address and the system call.
func withoutAddress(err error) error {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return err
}
