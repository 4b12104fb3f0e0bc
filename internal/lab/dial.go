package lab

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"

	"github.com/mdlayher/socket"
	"golang.org/x/sys/unix"
)

// Dial connects from the host to addr, an IP literal with a port, by the
// host's own kernel. The network is "tcp" or "udp", also with 4 or 6 behind
// it. Waiting for the connection holds no thread, so that many can be dialled
// at a time.
func (h *Host) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return h.DialFrom(ctx, network, netip.Addr{}, addr)
}

// DialFrom is Dial from one of the host's addresses.
func (h *Host) DialFrom(ctx context.Context, network string, from netip.Addr, addr string) (net.Conn, error) {
	typ, err := socketType(network)
	if err != nil {
		return nil, fmt.Errorf("host %s: dial %s: %w", h.name, addr, err)
	}
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, fmt.Errorf("host %s: dial: want IP:port: %w", h.name, err)
	}
	conn, err := h.connect(ctx, typ, 0, from, to)
	if err != nil {
		return nil, fmt.Errorf("host %s: dial %s %s: %w", h.name, network, addr, err)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetNoDelay(true) // what net.Dial does; failing costs speed only
	}
	return conn, nil
}

func socketType(network string) (int, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
		return unix.SOCK_STREAM, nil
	case "udp", "udp4", "udp6":
		return unix.SOCK_DGRAM, nil
	}
	return 0, fmt.Errorf("network %q: want tcp or udp", network)
}

// connect makes a socket in the host and connects it from out here: a socket
// belongs to the namespace that it was made in. Without from the kernel chooses the
// address.
func (h *Host) connect(ctx context.Context, typ, proto int, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	var s *socket.Conn
	err := h.ns.Do(func() (err error) {
		s, err = socket.Socket(int(family(to.Addr())), typ, proto, "lab", nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if from.IsValid() {
		if err := s.Bind(h.sockaddr(netip.AddrPortFrom(from, 0))); err != nil {
			return nil, err
		}
	}
	if _, err := s.Connect(ctx, h.sockaddr(to)); err != nil {
		return nil, err
	}
	return netConn(s)
}

func (h *Host) sockaddr(ap netip.AddrPort) unix.Sockaddr {
	if ap.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}
	}
	sa := &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}
	if ap.Addr().IsLinkLocalUnicast() || ap.Addr().Zone() != "" {
		sa.ZoneId = h.index
	}
	return sa
}

// netConn returns a duplicate of s as a connection of package net.
func netConn(s *socket.Conn) (net.Conn, error) {
	rc, err := s.SyscallConn()
	if err != nil {
		return nil, err
	}
	var conn net.Conn
	var ferr error
	err = rc.Control(func(fd uintptr) {
		dup, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			ferr = os.NewSyscallError("fcntl", err)
			return
		}
		f := os.NewFile(uintptr(dup), "lab")
		defer f.Close()
		conn, ferr = net.FileConn(f)
	})
	if err != nil {
		return nil, err
	}
	return conn, ferr
}

// Listen listens on addr, an IP literal (or nothing) with a port, in the host.
func (h *Host) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	var ln net.Listener
	err := h.Do(func() (err error) {
		var lc net.ListenConfig
		ln, err = lc.Listen(ctx, network, addr)
		return err
	})
	return ln, err
}

// ListenPacket is Listen for "udp".
func (h *Host) ListenPacket(ctx context.Context, network, addr string) (net.PacketConn, error) {
	var pc net.PacketConn
	err := h.Do(func() (err error) {
		var lc net.ListenConfig
		pc, err = lc.ListenPacket(ctx, network, addr)
		return err
	})
	return pc, err
}

// Proxy listens on a free port of 127.0.0.1 outside the lab, in the namespace
// of this process, and relays every TCP connection to addr as seen from h. It
// returns the address listened on; Close ends it.
func (l *LAN) Proxy(h *Host, addr string) (net.Addr, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(l.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("proxy to %s: %w", addr, err)
	}
	ok := l.start(func() {
		stop := context.AfterFunc(l.ctx, func() { ln.Close() })
		defer stop()
		for {
			conn, err := ln.Accept()
			if err != nil {
				return // closed, in the ordinary case
			}
			if !l.start(func() { l.relay(h, addr, conn) }) {
				conn.Close()
			}
		}
	})
	if !ok {
		ln.Close()
		return nil, fmt.Errorf("proxy to %s: %w", addr, errClosed)
	}
	return ln.Addr(), nil
}

// relay copies both ways until both sides are done or the LAN closes. A
// browser learns by the closed connection that no service listens.
func (l *LAN) relay(h *Host, addr string, near net.Conn) {
	defer near.Close()
	far, err := h.Dial(l.ctx, "tcp", addr)
	if err != nil {
		return
	}
	defer far.Close()
	stop := context.AfterFunc(l.ctx, func() {
		near.Close()
		far.Close()
	})
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { copyHalf(far, near) })
	both.Go(func() { copyHalf(near, far) })
	both.Wait()
}

// copyHalf passes the end of the stream on, so that half-closed connections
// work through the proxy.
func copyHalf(dst, src net.Conn) {
	io.Copy(dst, src)
	if tcp, ok := dst.(*net.TCPConn); ok {
		tcp.CloseWrite()
	}
}
