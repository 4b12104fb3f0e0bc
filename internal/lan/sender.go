package lan

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"nightporter/internal/ether"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// Sender is a packet socket that sends on one interface and receives nothing. Unlike an
// Interface it needs no IP address.
type Sender struct {
	name   string
	mac    ether.MAC
	source netip.Addr
	conn   *packet.Conn
	sender *frameWriter
}

// OpenSender opens a packet socket on the interface name, which must be an Ethernet or
// Wi-Fi interface that is up.
func OpenSender(name string) (*Sender, error) {
	s := &Sender{name: name}
	err := withNetlink(func(c *rtnl) error {
		ifi, err := c.ethernet(name)
		if err != nil {
			return err
		}
		addrs, err := c.addresses()
		if err != nil {
			return fmt.Errorf("interface %q: %w", name, err)
		}
		s.mac = macOf(ifi)
		s.source = sourceAmong(addrsOf(addrs, func(m rtnetlink.AddressMessage) bool { return int(m.Index) == ifi.Index && !isBound(m) }))
		if s.conn, err = packet.Listen(ifi, packet.Raw, 0, nil); err != nil { // protocol 0: receives nothing (packet(7))
			return openError(name, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("interface %s: packet socket: %w", name, err), s.conn.Close())
	}
	s.sender = newFrameWriter(raw)
	return s, nil
}

// sourceAmong returns the source of datagrams: an IPv4 address if there is one. A host
// without an address uses 0.0.0.0 (RFC 1122 section 3.2.1.3).
func sourceAmong(own []netip.Addr) netip.Addr {
	if i := slices.IndexFunc(own, netip.Addr.Is4); i >= 0 {
		return own[i]
	}
	if len(own) > 0 {
		return own[0]
	}
	return netip.IPv4Unspecified()
}

// MAC returns the link-layer address of the interface when the Sender was opened.
func (s *Sender) MAC() ether.MAC { return s.mac }

// Source returns the source address of datagrams when the Sender was opened.
func (s *Sender) Source() netip.Addr { return s.source }

// Send sends one whole Ethernet frame. It does not wait: a full queue is an error.
func (s *Sender) Send(frame []byte) error {
	if err := s.sender.send(frame); err != nil {
		return fmt.Errorf("interface %s: send a frame of %d octets: %w", s.name, len(frame), err)
	}
	return nil
}

// Close closes the socket.
func (s *Sender) Close() error { return s.conn.Close() }

// SendDatagram sends one UDP datagram by the routes of the kernel, also to a broadcast
// address. It does not wait. Success does not mean that a host received it.
func SendDatagram(to netip.AddrPort, payload []byte) error {
	domain, address := unix.AF_INET, unix.Sockaddr(nil)
	if ip := to.Addr(); ip.Is4() {
		address = &unix.SockaddrInet4{Addr: ip.As4(), Port: int(to.Port())}
	} else {
		domain, address = unix.AF_INET6, &unix.SockaddrInet6{Addr: ip.As16(), Port: int(to.Port())}
	}
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1)
		if err == nil {
			err = unix.Sendto(fd, payload, 0, address)
		}
		err = errors.Join(err, os.NewSyscallError("close", unix.Close(fd)))
	}
	if err != nil {
		return fmt.Errorf("send a datagram to %v: %w", to, err)
	}
	return nil
}
