package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
	"nightporter/internal/notifyconf"
	"nightporter/internal/privilege"
	"nightporter/internal/wakefilter"
)

// maxInterfaceName is IFNAMSIZ of linux/if.h without the final zero.
const maxInterfaceName = 15

// interfaceName reads what the kernel's dev_valid_name accepts.
func interfaceName() codec[string] {
	return text("name", "the name of a network interface, such as eth0", func(s string) bool {
		return s != "" && s != "." && s != ".." && len(s) <= maxInterfaceName && !strings.ContainsAny(s, "/: \t")
	})
}

// userName reads the name of a user that there is, or "".
func userName() codec[string] {
	return text("name", "the name of a user of this host, or none", func(s string) bool {
		_, err := privilege.Find(s)
		return err == nil
	})
}

func absolutePath() codec[string] {
	return text("path", "an absolute path of printable characters", filepath.IsAbs)
}

// optionalFile reads the path of a regular file that exists, or "".
func optionalFile() codec[string] {
	const expected = "the path of a regular file"
	c := text("path", expected, func(string) bool { return true })
	read := c.read
	c.read = func(p place, raw any) (string, bool) {
		path, ok := read(p, raw)
		if !ok || path == "" {
			return "", ok
		}
		info, err := os.Stat(path)
		switch {
		case err != nil:
			return "", p.wrong(raw, expected+": "+reason(err))
		case !info.Mode().IsRegular():
			return "", p.wrong(raw, expected)
		}
		return path, true
	}
	return c
}

// reason is err without the path, which stands beside it anyway.
func reason(err error) string {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		return at.Err.Error()
	}
	return err.Error()
}

// Bounds of a token, in bytes. A shorter one than minToken could be guessed in
// spite of the rate.
const (
	minToken = 8
	maxToken = 256
)

// redacted is printed in place of a secret. It is refused as a secret, so that a
// printed configuration that became a file never runs with a known one.
const redacted = notifyconf.Hidden

// token reads a secret of at least so many bytes, or "".
func token(least int) codec[string] {
	length := fmt.Sprintf("up to %d", maxToken)
	if least > 0 {
		length = fmt.Sprintf("%d to %d", least, maxToken)
	}
	expected := "text of " + length + " bytes, in quotes if it looks like a number, or none"
	c := text("text", expected, func(s string) bool { return s == "" || len(s) >= least && len(s) <= maxToken })
	read := c.read
	c.read = func(p place, raw any) (string, bool) {
		if raw == redacted {
			return "", p.wrong(raw, "the token itself: "+redacted+" is printed in its place")
		}
		return read(p, raw)
	}
	return c
}

// listenAddress reads "host:port" and ":port". Port 0 takes any free port.
func listenAddress() codec[string] {
	return text("host:port", `"host:port" or ":port" with a port from 0 to 65535`, func(s string) bool {
		host, port, err := net.SplitHostPort(s)
		if err != nil || !digits(port) {
			return false
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return false
		}
		_, err = netip.ParseAddr(host)
		return host == "" || err == nil || hostname(host)
	})
}

// hostName reads the name of a host, without a port.
func hostName() codec[string] {
	return text("name", "the name of a host, such as porter.example.org, without a port", hostname)
}

// hostname reports whether s has the form of a host name (RFC 1123, section
// 2.1; underscores are common in practice). Its last label is not a number, so
// that a mistyped IPv4 address is not taken for a name.
func hostname(s string) bool {
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
		for _, r := range l {
			if r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
				return false
			}
		}
	}
	return len(s) <= 253 && !digits(labels[len(labels)-1])
}

func digits(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

func mac() codec[ether.MAC] {
	return parsed("MAC", "the MAC address of one machine, such as d8:cb:8a:39:be:a1",
		func(s string) (ether.MAC, bool) {
			m, err := ether.ParseMAC(s)
			return m, err == nil && m.Unicast()
		}, func(m ether.MAC) any { return m.String() })
}

// network reads a CIDR, or one address. Bits beyond the prefix are refused:
// 192.0.2.7/24 leaves open whether the network is meant, or the host.
func network() codec[netip.Prefix] {
	return parsed("CIDR", "a network such as 192.0.2.0/24 without bits beyond its length, or one address",
		func(s string) (netip.Prefix, bool) {
			if a, err := netip.ParseAddr(s); err == nil {
				return netip.PrefixFrom(a, a.BitLen()), a.Zone() == "" && !a.Is4In6()
			}
			n, err := netip.ParsePrefix(s)
			return n, err == nil && n == n.Masked() && !n.Addr().Is4In6()
		}, func(n netip.Prefix) any { return n.String() })
}

// hours reads times of the day, as one text: without brackets it is the same in
// a file, in the environment and as a flag.
func hours() codec[wakefilter.Hours] {
	return parsed("times", "times of the day such as 23:00-07:00, several separated by commas",
		func(s string) (wakefilter.Hours, bool) {
			h, err := wakefilter.ParseHours(s)
			return h, err == nil
		}, func(h wakefilter.Hours) any { return h.String() })
}

// hostAddress reads an address that a machine can have. What depends on the
// network (our own addresses, a gateway's, foreign prefixes) is known only
// when the claim is made.
func hostAddress() codec[netip.Addr] {
	return parsed("IP", "the unicast address of one machine, such as 192.0.2.7 or 2001:db8::7",
		func(s string) (netip.Addr, bool) {
			a, err := netip.ParseAddr(s)
			return a, err == nil && machine.IsHostAddress(a)
		}, func(a netip.Addr) any { return a.String() })
}

func transport() codec[string] { return oneOf(TransportEthernet, TransportUDP) }
