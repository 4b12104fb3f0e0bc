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

	"nightporter/internal/ether"
	"nightporter/internal/wait"

	"golang.org/x/time/rate"

	"nightporter/internal/ratelimit"
)

// okAnswer is the whole answer to an accepted registration. The clients of
// Wakupator compare it byte by byte, so that no newline follows.
const okAnswer = "OK."

// Handler decides about a registration and keeps it. A nil error answers OK.;
// the text of an error is the one-line refusal. See Refusal.
type Handler interface {
	Register(ctx context.Context, req Request, peer Peer) error
}

// HandlerFunc is a function that is a Handler.
type HandlerFunc func(ctx context.Context, req Request, peer Peer) error

// Register calls f.
func (f HandlerFunc) Register(ctx context.Context, req Request, peer Peer) error {
	return f(ctx, req, peer)
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

// defaultHandlerTimeout leaves time to ask the LAN about every address, and
// ends before the machine that waits for the answer loses its patience.
const defaultHandlerTimeout = 10 * time.Second

// Options are what a Server is made of.
type Options struct {
	Handler Handler
	Log     *slog.Logger
	Observe func(Conclusion)     // called once for every connection but a trial, from several goroutines
	Locate  ratelimit.Locate     // tells the hosts on the link apart; nil: there are none
	Known   func(ether.MAC) bool // reports whether a machine is known already; nil: none is
}

// Server answers registrations.
type Server struct {
	cfg      atomic.Pointer[Config]
	handler  Handler
	log      *slog.Logger
	observe  func(Conclusion)
	locate   ratelimit.Locate
	known    func(ether.MAC) bool
	gate     gate
	ration   ratelimit.Limiter
	closing  closing
	repeats  *ratelimit.Limiter // of log lines about refusals of one source
	accepted *ratelimit.Limiter // of log lines about registrations of one machine
	noise    *rate.Limiter      // of log lines about refusals
	unlogged atomic.Int64       // refusals that repeats and noise kept out of the log
}

// The log takes a few refusals of each source, for a user who is trying things
// out, and then one a minute: a host that tries for ever must not fill the disk.
// From all sources together it takes a burst, and then one every ten seconds.
// Every refusal is counted. Of each machine it takes as many registrations as of
// a source refusals.
const (
	repeatBurst = 3
	repeatEvery = time.Minute
	noiseBurst  = 20
	noiseEvery  = 10 * time.Second
)

// New returns a Server.
func New(cfg Config, o Options) *Server {
	s := &Server{
		handler:  o.Handler,
		log:      o.Log,
		observe:  o.Observe,
		locate:   o.Locate,
		known:    o.Known,
		repeats:  ratelimit.New(rate.Every(repeatEvery), repeatBurst),
		accepted: ratelimit.New(rate.Every(repeatEvery), repeatBurst),
		noise:    rate.NewLimiter(rate.Every(noiseEvery), noiseBurst),
	}
	s.SetConfig(cfg)
	return s
}

// SetConfig changes the limits for connections that are yet to come.
func (s *Server) SetConfig(cfg Config) {
	if cfg.HandlerTimeout <= 0 {
		cfg.HandlerTimeout = defaultHandlerTimeout
	}
	s.ration.SetLimit(ratelimit.PerMinute(cfg.Rate))
	s.cfg.Store(&cfg)
}

// Serve answers the clients of ln until ctx ends, and then returns nil. Several
// listeners can be served at once; the limits hold for all of them together. It
// closes ln, and returns when all its goroutines have ended. An error means that
// ln is beyond use.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	var conns sync.WaitGroup
	defer conns.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer ln.Close()
	defer context.AfterFunc(ctx, func() { ln.Close() })()

	saved := savesSYN(ln)
	var pause time.Duration
	complaints := rate.NewLimiter(rate.Every(repeatEvery), repeatBurst)
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
			if complaints.Allow() {
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

// temporary tells a want of file descriptors or memory, or a client that gave
// up (accept(2)), from a listener that is gone.
func temporary(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// admit starts the conversation with a client, or turns it away. That is decided
// before it is read: to turn it away costs next to nothing then, and a client that
// says nothing is rationed like all others.
func (s *Server) admit(ctx context.Context, conns *sync.WaitGroup, conn net.Conn, peer Peer) {
	cfg := s.cfg.Load()
	// Before it enters, for it may have to give way at once. An error means that
	// the connection is gone, which reading it will show.
	_ = conn.SetReadDeadline(time.Now().Add(cfg.Timeout))
	v := s.visitor(peer.Addr.Addr(), conn)
	err := s.gate.enter(v, limits{cfg.MaxConnections, cfg.Turns}, func() error { return s.rationed(cfg, v.source) })
	if err != nil {
		s.answer(ctx, conn, v.source, s.conclude(ctx, Request{}, peer.Addr, v.source, err), conns.Go)
		return
	}
	conns.Go(func() { s.converse(ctx, cfg, conn, peer, v) })
}

// visitor returns a connection from addr as the gate sees it.
func (s *Server) visitor(addr netip.Addr, conn net.Conn) *visitor {
	v := &visitor{source: s.locate.Source(addr), giveWay: func() { interrupt(conn) }}
	if mac, ok := v.source.MAC(); ok && s.known != nil {
		v.known = s.known(mac)
	}
	return v
}

// rationed takes a connection of source from its ration, or says why it cannot.
func (s *Server) rationed(cfg *Config, source ratelimit.Source) error {
	wait := s.ration.Take(source)
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
	Noted   bool      // a refusal that is worth a line of log, and not one of a flood
}

// conclude counts and logs how a registration ended, before the client hears of
// it, and returns the answer.
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
		if s.accepted.Take(ratelimit.MACSource(req.MAC)) > 0 {
			level = slog.LevelDebug
		}
		s.log.Log(ctx, level, "registration accepted", append(attrs, "event", "registration_accepted")...)
	case errors.Is(err, errNothing):
		s.log.Debug("connection without a registration", "event", "registration_missing", "peer", peer.String())
	case s.repeats.Take(source) == 0 && s.noise.Allow():
		if n := s.unlogged.Swap(0); n > 0 {
			attrs = append(attrs, "unlogged", n)
		}
		end.Noted = true
		s.log.Warn("registration refused", append(attrs, "event", "registration_refused", "outcome", outcome.String(), "reason", text)...)
	default:
		s.unlogged.Add(1)
	}
	return text
}
