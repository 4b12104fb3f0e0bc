package lab

import (
	"context"
	"io"
	"net"
	"sync"
)

// A session is what a machine runs between power-on and power-off: its boot,
// its listeners and its connections.
type session struct {
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex // guards what follows
	closed  bool       // no new work
	sockets []io.Closer
	conns   map[*net.TCPConn]struct{}
}

func newSession(ctx context.Context) *session {
	s := &session{conns: make(map[*net.TCPConn]struct{})}
	s.ctx, s.cancel = context.WithCancel(ctx)
	return s
}

// start runs fn in a goroutine of the session, unless the session has ended.
func (s *session) start(fn func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.work.Go(fn)
	return true
}

// listen has the session own a socket and serve it; it closes the socket where
// the session has ended.
func (s *session) listen(socket io.Closer, serve func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		socket.Close()
		return false
	}
	s.sockets = append(s.sockets, socket)
	s.work.Go(serve)
	return true
}

// accept has the session own a connection and serve it. The connection is
// closed with the session, or by serve's end.
func (s *session) accept(conn *net.TCPConn, serve func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		conn.Close()
		return
	}
	s.conns[conn] = struct{}{}
	s.work.Go(func() {
		serve()
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closed {
			delete(s.conns, conn)
			conn.Close()
		}
	})
}

// finish ends the services as an orderly shutdown does: no more listening, and
// a FIN on every connection. The connections stay with the session: a closed
// one would live on in the kernel and send again after the next boot.
func (s *session) finish() {
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.closeSockets()
	for conn := range s.conns {
		conn.CloseWrite() // the peer may have closed it already
	}
}

// abort drops everything and waits for the goroutines. Without an address or
// a link, the resets that this makes leave nothing behind and reach no host.
func (s *session) abort() {
	s.cancel()
	s.mu.Lock()
	s.closed = true
	s.closeSockets()
	for conn := range s.conns {
		conn.SetLinger(0)
		conn.Close()
	}
	clear(s.conns)
	s.mu.Unlock()
	s.work.Wait()
}

func (s *session) closeSockets() {
	for _, socket := range s.sockets {
		socket.Close()
	}
	s.sockets = nil
}
