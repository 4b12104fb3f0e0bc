package lab

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
)

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
// browser learns by the closed connection that there is nobody.
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
