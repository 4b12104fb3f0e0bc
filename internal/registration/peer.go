package registration

import (
	"context"
	"net"
	"net/netip"
	"syscall"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
)

// Peer is the other end of a connection.
type Peer struct {
	Addr netip.AddrPort // IPv4 is not mapped; a link-local address keeps its zone

	// SYN is the source MAC of the frame that opened the connection. It is zero if the kernel
	// keeps no such frames, and if Unseen is set.
	SYN    ether.MAC
	Unseen bool // the kernel keeps such frames, but not this one
}

// ip returns the peer's address without a zone.
func (p Peer) ip() netip.Addr { return p.Addr.Addr().Unmap().WithZone("") }

// Listen returns a listener for registrations at an address of the form "host:port".
// The kernel keeps the frame that opens each of its connections, if it can.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	return (&net.ListenConfig{Control: lan.SaveSYN}).Listen(ctx, "tcp", addr)
}

// peerOf returns the other end of conn. A dual-stack socket shows IPv4 clients as
// IPv4-mapped (RFC 4291 section 2.5.5.2).
func peerOf(conn net.Conn, saved bool) Peer {
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return Peer{}
	}
	ap := tcp.AddrPort()
	p := Peer{Addr: netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())}
	if sc, ok := conn.(syscall.Conn); ok && saved {
		var err error
		p.SYN, err = lan.SYNSource(sc)
		p.Unseen = err != nil || p.SYN == ether.MAC{}
	}
	return p
}

// savesSYN reports whether the kernel keeps the frames that open the connections of ln.
func savesSYN(ln net.Listener) bool {
	sc, ok := ln.(syscall.Conn)
	return ok && lan.SavesSYN(sc)
}
