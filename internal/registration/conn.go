package registration

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"nightporter/internal/ratelimit"
)

// A connection is bounded by Config.Timeout until its request is there, then by
// Config.HandlerTimeout, then by these.
const (
	sendTimeout = time.Second // to write the answer
	lingerTime  = time.Second // until the client closes
	lingerBytes = 1 << 20     // read and dropped until then
)

// serveConn reads one registration, passes it to the handler and answers. The connection is
// released before the answer is sent, because the client may be slow to read it.
func (s *Server) serveConn(ctx context.Context, cfg *Config, conn net.Conn, peer Peer, c *clientConn) {
	defer s.conns.release(c)
	req, err := receive(ctx, cfg, conn)
	switch {
	case !s.conns.requestArrived(c):
		req, err = Request{}, errCrowded
	case err == nil:
		err = s.decide(ctx, cfg, req, peer, c)
	}
	text := s.conclude(ctx, req, peer.Addr, c.source, err)
	s.conns.release(c)
	s.answer(ctx, conn, c.source, text, func(f func()) { f() })
}

// decide passes req to the handler when it is c's turn.
func (s *Server) decide(ctx context.Context, cfg *Config, req Request, peer Peer, c *clientConn) error {
	ctx, cancel := context.WithTimeout(ctx, cfg.HandlerTimeout)
	defer cancel()
	select {
	case <-s.conns.awaitTurn(c):
	case <-c.evicted:
		return errCrowded
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.handler.Register(ctx, req, peer)
}

// receive reads the request. It takes at most cfg.Timeout from the accept to the last byte.
func receive(ctx context.Context, cfg *Config, conn net.Conn) (Request, error) {
	defer context.AfterFunc(ctx, func() { interrupt(conn) })()
	raw, err := readObject(bufio.NewReader(&bounded{conn, MaxBody}))
	if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
		err = Refuse(Limited, "no complete request within %v, %s", cfg.Timeout, tryAgain)
	}
	if err != nil {
		return Request{}, err
	}
	return decodeObject(raw, cfg.Defaults)
}

// interrupt ends the current read and every later one.
func interrupt(conn net.Conn) {
	_ = conn.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed connection
}

// bounded reads at most left bytes of r, and then fails. io.LimitedReader would return EOF,
// and a request that is too long would look complete.
type bounded struct {
	r    io.Reader
	left int
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errOversize
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// answer sends text and closes the connection. run calls a function that waits until the
// client has read the answer. If too many connections wait for that already, this one is
// closed at once, and a client that has sent more bytes may miss the answer.
func (s *Server) answer(ctx context.Context, conn net.Conn, source ratelimit.Source, text string, run func(func())) {
	if !s.closing.admit(source) {
		send(conn, text)
		conn.Close()
		return
	}
	run(func() {
		defer s.closing.release(source)
		defer conn.Close()
		if send(conn, text) {
			linger(ctx, conn)
		}
	})
}

// send writes the answer: OK. without a newline, everything else as a line.
func send(conn net.Conn, text string) bool {
	if text != okAnswer {
		text += "\n"
	}
	if err := conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return false
	}
	_, err := io.WriteString(conn, text)
	return err == nil
}

// linger waits up to lingerTime for the client to close, and drops what it still sends. A
// socket that is closed with unread input is reset (RFC 2525 section 2.17), and the reset may
// overtake the answer.
func linger(ctx context.Context, conn net.Conn) {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	if conn.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	// Only from here on, or SetReadDeadline would overwrite the interruption.
	defer context.AfterFunc(ctx, func() { interrupt(conn) })()
	_, _ = io.CopyN(io.Discard, conn, lingerBytes) // an error ends the wait as well
}
