package registration

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/time/rate"

	"nightporter/internal/ether"
	"nightporter/internal/ratelimit"
	"nightporter/internal/wait"
)

// okAnswer is the whole answer to an accepted registration. The clients of Wakupator compare
// it byte by byte, so no newline follows.
const okAnswer = "OK."

// Handler decides about a registration and stores it. The answer is OK. for a nil error, else
// the text of the error, one line. See Refusal.
type Handler interface {
	Register(ctx context.Context, req Request, peer Peer) error
}

// Config limits what a Server does for its clients.
type Config struct {
	Timeout        time.Duration // for the whole request to arrive
	HandlerTimeout time.Duration // for the Handler to decide; zero: 10 s
	MaxConnections int           // at once, over all listeners
	Turns          int           // requests of one source that are decided at a time; zero: any number
	Rate           int           // connections a minute from one source, half of them at once; zero: any number
	Defaults       Defaults
}

// defaultHandlerTimeout is enough to resolve every address on the LAN, and ends before the
// machine that waits for the answer goes to sleep without it.
const defaultHandlerTimeout = 10 * time.Second

// Options are the parts of a Server that do not change.
type Options struct {
	Handler Handler
	Log     *slog.Logger
	Observe func(Conclusion)     // called once for each connection but a trial, from several goroutines
	Locate  ratelimit.Locate     // returns the MAC of a host on the link; nil: no host is on the link
	Known   func(ether.MAC) bool // reports whether a machine has registered before; nil: none has
}

// Server answers registrations.
type Server struct {
	cfg      atomic.Pointer[Config]
	handler  Handler
	log      *slog.Logger
	observe  func(Conclusion)
	locate   ratelimit.Locate
	known    func(ether.MAC) bool
	conns    connLimiter
	requests ratelimit.Limiter // connections a minute of one source
	closing  closingLimiter

	acceptedLog *ratelimit.Limiter // log lines about registrations of one machine
	sourceLog   *ratelimit.Limiter // log lines about refusals of one source
	refusalLog  *rate.Limiter      // log lines about refusals of all sources
	unlogged    atomic.Int64       // refusals that were not logged since the last that was
}

// The log gets the first refusals of each source, for a user who tries things out, and then
// one a minute: a host that registers in a loop must not fill the disk. From all sources
// together it gets a burst, and then one every ten seconds. The registrations of each machine
// have the same limits as the refusals of a source. Every refusal is counted.
const (
	sourceLogBurst  = 3
	sourceLogEvery  = time.Minute
	refusalLogBurst = 20
	refusalLogEvery = 10 * time.Second
)

// New returns a Server.
func New(cfg Config, o Options) *Server {
	s := &Server{
		handler: o.Handler,
		log:     o.Log,
		observe: o.Observe,
		locate:  o.Locate,
		known:   o.Known,

		acceptedLog: ratelimit.New(rate.Every(sourceLogEvery), sourceLogBurst),
		sourceLog:   ratelimit.New(rate.Every(sourceLogEvery), sourceLogBurst),
		refusalLog:  rate.NewLimiter(rate.Every(refusalLogEvery), refusalLogBurst),
	}
	s.SetConfig(cfg)
	return s
}

// SetConfig changes the limits for later connections.
func (s *Server) SetConfig(cfg Config) {
	if cfg.HandlerTimeout <= 0 {
		cfg.HandlerTimeout = defaultHandlerTimeout
	}
	s.requests.SetLimit(ratelimit.PerMinute(cfg.Rate))
	s.cfg.Store(&cfg)
}

// Serve answers the clients of ln until ctx ends, and then returns nil. Several
// listeners can be served at once; the limits hold for all of them together. It
// closes ln, and returns when all its goroutines have ended. An error means that ln is broken.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	var conns sync.WaitGroup
	defer conns.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer ln.Close()
	defer context.AfterFunc(ctx, func() { ln.Close() })()

	saved := savesSYN(ln)
	var pause time.Duration
	acceptLog := rate.NewLimiter(rate.Every(sourceLogEvery), sourceLogBurst)
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			pause = 0
			s.admit(ctx, &conns, conn, peerOf(conn, saved))
		case ctx.Err() != nil:
			return nil
		case temporary(err):
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			if acceptLog.Allow() {
				s.log.Warn("cannot accept a registration", "event", "accept_failed", "listen", ln.Addr().String(), "err", err, "pause", pause)
			}
			if !wait.For(ctx, pause) {
				return nil
			}
		default:
			return fmt.Errorf("accept on %s: %w", ln.Addr(), err)
		}
	}
}

// temporary reports whether the listener still works after err of accept(2): there were no
// file descriptors or no memory, or the client closed first.
func temporary(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// admit starts to serve a client, or refuses it. It decides that before it reads the request,
// so that a refusal costs little, and silent clients count against the limits.
func (s *Server) admit(ctx context.Context, conns *sync.WaitGroup, conn net.Conn, peer Peer) {
	cfg := s.cfg.Load()
	// Before it is admitted, for it may be evicted at once. An error means that the connection
	// is closed, and the read will return it.
	_ = conn.SetReadDeadline(time.Now().Add(cfg.Timeout))
	c := s.clientConn(peer.Addr.Addr(), conn)
	err := s.conns.admit(c, connLimits{cfg.MaxConnections, cfg.Turns}, func() error { return s.checkRate(cfg, c.source) })
	if err != nil {
		s.answer(ctx, conn, c.source, s.conclude(ctx, Request{}, peer.Addr, c.source, err), conns.Go)
		return
	}
	conns.Go(func() { s.serveConn(ctx, cfg, conn, peer, c) })
}

// clientConn returns what the limits have to know of a connection from addr.
func (s *Server) clientConn(addr netip.Addr, conn net.Conn) *clientConn {
	c := &clientConn{source: s.locate.Source(addr), evict: func() { interrupt(conn) }}
	if mac, ok := c.source.MAC(); ok && s.known != nil {
		c.known = s.known(mac)
	}
	return c
}

// checkRate counts a connection of source, or returns a *Refusal if it is one too many.
func (s *Server) checkRate(cfg *Config, source ratelimit.Source) error {
	wait := s.requests.Take(source)
	if wait == 0 {
		return nil
	}
	return Refuse(Limited, "too many registrations from %s: expected at most %d a minute (registration.rate), wait %ds and %s",
		source, cfg.Rate, ratelimit.Seconds(wait), tryAgain)
}

var errCrowded = Refuse(Limited, "too many connections, %s", tryAgain)

// Conclusion is how one connection ended.
type Conclusion struct {
	Outcome Outcome
	Peer    netip.AddrPort
	MAC     ether.MAC // of the machine; zero if the request could not be read
	Text    string    // the answer
	Logged  bool      // a refusal that was logged, and not left out because of too many
}

// conclude counts and logs how a registration ended, before the client has its answer, and
// returns the answer.
func (s *Server) conclude(ctx context.Context, req Request, peer netip.AddrPort, source ratelimit.Source, err error) string {
	if req.Trial {
		return s.concludeTrial(ctx, req, peer.String(), source, err)
	}
	outcome, text := classify(err, ctx.Err() != nil)
	end := Conclusion{Outcome: outcome, Peer: peer, MAC: req.MAC, Text: text}
	defer func() { s.observe(end) }()
	attrs := []any{"peer", peer.String()}
	if req.MAC.Unicast() { // it is not when the request could not be read
		attrs = append(attrs, "mac", req.MAC.String())
	}
	if req.HasName {
		attrs = append(attrs, "machine", req.Name)
	}
	if len(req.Warnings) > 0 {
		attrs = append(attrs, "warnings", req.Warnings)
	}
	switch {
	case outcome == Accepted:
		level := slog.LevelInfo
		if s.acceptedLog.Take(ratelimit.MACSource(req.MAC)) > 0 {
			level = slog.LevelDebug
		}
		s.log.Log(ctx, level, "registration accepted", append(attrs, "event", "registration_accepted")...)
	case errors.Is(err, errNothing):
		s.log.Debug("connection without a registration", "event", "registration_missing", "peer", peer.String())
	case s.sourceLog.Take(source) == 0 && s.refusalLog.Allow():
		if n := s.unlogged.Swap(0); n > 0 {
			attrs = append(attrs, "unlogged", n)
		}
		end.Logged = true
		s.log.Warn("registration refused", append(attrs, "event", "registration_refused", "outcome", outcome.String(), "reason", text)...)
	default:
		s.unlogged.Add(1)
	}
	return text
}
