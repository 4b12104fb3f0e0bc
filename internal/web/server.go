package web

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	toolkit "github.com/prometheus/exporter-toolkit/web"
	"golang.org/x/sync/errgroup"

	"nightporter/internal/listen"
	"nightporter/internal/ratelimit"
	"nightporter/internal/yamlerror"
)

// Server serves a Backend over HTTP.
type Server struct {
	parts
	handler   http.Handler
	slots     *slots // of connections
	passwords *passwords
	listeners []net.Listener
}

// New returns a server that does not listen yet. Its error names the key of the
// configuration that is at fault.
func New(opts Options) (*Server, error) {
	if opts.Backend == nil || opts.Gatherer == nil {
		return nil, errors.New("web: a Backend and a Gatherer are required")
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.SourceOf == nil {
		opts.SourceOf = ratelimit.SourceOf
	}
	if err := toolkit.Validate(opts.WebConfig); err != nil {
		return nil, webConfigError(opts.WebConfig, err)
	}
	clients := peers{opts.SourceOf}
	s := &Server{
		parts: parts{
			opts: opts, peers: clients, changeLimit: &changeLimit{peers: clients}, auth: newAuthorizer(), renderer: newRenderer(clients),
			streams: newStreams(clients, limitLog(opts.Log)),
		},
		slots: newSlots(maxConnections, eachConnections, connectionMinHold), passwords: newPasswords(clients, limitLog(opts.Log)),
	}
	s.SetRate(opts.Rate)
	s.SetAccess(opts.Access)
	s.SetLook(opts.Look)
	s.SetConfig(ConfigState{Healthy: true, Loaded: opts.Now()})
	var err error
	if s.handler, err = s.newHandler(); err != nil {
		return nil, err
	}
	return s, nil
}

// SetRate changes Options.Rate.
func (s *Server) SetRate(perMinute int) { s.changeLimit.set(perMinute) }

// SetAccess changes Options.Access.
func (s *Server) SetAccess(a Access) { s.auth.set(a) }

// SetLook changes Options.Look.
func (s *Server) SetLook(l Look) { s.look.Store(&l) }

// SetConfig changes the state of the configuration. New sets it to loaded.
func (s *Server) SetConfig(c ConfigState) { s.config.Store(&c) }

// Config returns what was shown of the configuration last.
func (s *Server) Config() ConfigState { return *s.config.Load() }

// Handler returns the pages without TLS and passwords, which belong to the
// listeners.
func (s *Server) Handler() http.Handler { return s.handler }

// Listen opens all listening sockets, or none and says why. It lets the caller
// learn of a port in use before anything else is begun; Run does it otherwise.
func (s *Server) Listen(ctx context.Context) error {
	for _, addr := range s.opts.Listen {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
		if err != nil {
			s.Close()
			s.listeners = nil
			return fmt.Errorf("http.listen: cannot listen on %s: %w", addr, listen.Explain(addr, err))
		}
		s.listeners = append(s.listeners, l)
	}
	return nil
}

// Addrs returns the addresses that Listen opened, in the order of the options.
// It may be called while the server runs if Listen was called before Run.
func (s *Server) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(s.listeners))
	for i, l := range s.listeners {
		addrs[i] = l.Addr()
	}
	return addrs
}

// Close closes the listening sockets of a server that is not run. Run closes
// them by itself.
func (s *Server) Close() {
	for _, l := range s.listeners {
		l.Close() // a second close is harmless
	}
}

// Run serves until ctx ends, then gives the requests under way a second to end
// and returns nil. It returns an error when it cannot listen or serve. A server
// runs once.
func (s *Server) Run(ctx context.Context) error {
	if len(s.listeners) == 0 {
		if err := s.Listen(ctx); err != nil {
			return err
		}
	}
	defer s.Close()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { // without listeners there is only this to wait for
		<-ctx.Done()
		s.streams.stop()
		return nil
	})
	for _, l := range s.listeners {
		group.Go(func() error { return s.serve(ctx, l) })
	}
	return group.Wait()
}

// serve serves one listener until ctx ends. Each listener has an http.Server of
// its own, because the toolkit writes to the server it is given.
func (s *Server) serve(ctx context.Context, l net.Listener) error {
	// Requests outlive ctx by the time that a stop allows them.
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	server := &http.Server{
		Handler:           markWaiting(within(s.handler)),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxRequests},
		ErrorLog:          log.New(serverLog{handshakes: limitLog(s.opts.Log), others: limitLog(s.opts.Log)}, "", 0),
		BaseContext:       func(net.Listener) context.Context { return requests },
		ConnContext:       withSlot,
		ConnState:         track,
	}
	stopped := make(chan struct{})
	served := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-ctx.Done():
			stop(server)
		case <-served: // it failed
		}
	}()
	admitted := &limitedListener{Listener: l, slots: s.slots, peers: s.peers, log: limitLog(s.opts.Log)}
	if s.opts.WebConfig != "" {
		// The toolkit puts its own handler into the server and serves at once. Before
		// the first connection ours is put before it.
		admitted.first = func() { server.Handler = s.passwords.before(server.Handler) }
	}
	flags := &toolkit.FlagConfig{WebListenAddresses: &s.opts.Listen, WebConfigFile: &s.opts.WebConfig}
	err := toolkit.Serve(admitted, server, flags, limitLog(s.opts.Log))
	close(served)
	<-stopped
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("http: serving %s: %w", l.Addr(), err)
}

// stop lets the requests under way end, for a while, and then cuts them off.
func stop(server *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		server.Close()
	}
}

// webConfigError names the file once: some errors of the toolkit do, some do not.
func webConfigError(path string, err error) error {
	var unreadable *fs.PathError
	if errors.As(err, &unreadable) && unreadable.Path == path {
		err = unreadable.Err
	}
	if strings.HasPrefix(err.Error(), "yaml: ") {
		err = yamlerror.Plain(err) // the file holds passwords
	}
	return fmt.Errorf("http.web_config: %s: %w", path, err)
}
