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

// Every conversation is bounded: the request by Config.Timeout, the decision by
// Config.HandlerTimeout, the answer and the wait for its reader by these.
const (
	sendTimeout = time.Second
	lingerTime  = time.Second
	lingerBytes = 1 << 20
)

// converse reads one registration, has it decided and answers. The place at the
// gate is given back before the answer goes out, for the client may take its time
// to read it.
func (s *Server) converse(ctx context.Context, cfg *Config, conn net.Conn, peer Peer, v *visitor) {
	defer s.gate.leave(v)
	req, err := receive(ctx, cfg, conn)
	switch {
	case !s.gate.receive(v):
		req, err = Request{}, errCrowded
	case err == nil:
		err = s.decide(ctx, cfg, req, peer, v)
	}
	text := s.conclude(ctx, req, peer.Addr, v.source, err)
	s.gate.leave(v)
	s.answer(ctx, conn, v.source, text, func(f func()) { f() })
}

// decide has the handler decide about req once it is v's turn.
func (s *Server) decide(ctx context.Context, cfg *Config, req Request, peer Peer, v *visitor) error {
	ctx, cancel := context.WithTimeout(ctx, cfg.HandlerTimeout)
	defer cancel()
	select {
	case <-s.gate.await(v):
	case <-v.gone:
		return errCrowded
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.handler.Register(ctx, req, peer)
}

// receive reads the request. It takes at most cfg.Timeout in all since the client
// came in, however steadily the bytes trickle in.
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

// interrupt ends a read that is under way, and every later one.
func interrupt(conn net.Conn) {
	// The only error is that conn is closed, which is as good.
	_ = conn.SetReadDeadline(time.Unix(1, 0))
}

// bounded passes on at most left bytes of r, and then fails: unlike
// io.LimitedReader, which would make a long request look like one that ended.
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

// answer sends text and closes the connection, with run in its own time, so that
// the client can read it. Where too many are read already, whether the client can
// depends on what it has sent meanwhile.
func (s *Server) answer(ctx context.Context, conn net.Conn, source ratelimit.Source, text string, run func(func())) {
	if !s.closing.enter(source) {
		send(conn, text)
		conn.Close()
		return
	}
	run(func() {
		defer s.closing.leave(source)
		defer conn.Close()
		if send(conn, text) {
			linger(ctx, conn)
		}
	})
}

// send writes the answer: OK. as it is, everything else as a line.
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

// linger waits a little for the client to close, and swallows what it still
// sends. A socket that is closed with unread input is reset (RFC 2525 section
// 2.17), and a reset may overtake the answer.
func linger(ctx context.Context, conn net.Conn) {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	if conn.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	// Only now may the interruption come: it must not be overwritten.
	defer context.AfterFunc(ctx, func() { interrupt(conn) })()
	_, _ = io.CopyN(io.Discard, conn, lingerBytes) // whatever the error, this was all
}
