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
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"nightporter/internal/ether"

	"github.com/prometheus/client_golang/prometheus"
	toolkit "github.com/prometheus/exporter-toolkit/web"
	"golang.org/x/sync/errgroup"

	"nightporter/internal/guard"
	"nightporter/internal/journal"
	"nightporter/internal/listen"
	"nightporter/internal/machine"
	"nightporter/internal/ratelimit"
	"nightporter/internal/yamlerror"
)

// Limits on clients. A client that is slow or silent must not hold what the
// porter needs to answer for sleeping machines.
const (
	headerTimeout  = 5 * time.Second
	readTimeout    = 10 * time.Second
	writeTimeout   = 30 * time.Second
	idleTimeout    = 30 * time.Second
	stopTimeout    = time.Second // for requests under way when the porter stops
	maxHeaderBytes = 16 << 10
	maxRequests    = 16 // at once on one connection of HTTP/2
)

// ErrConflict says that what was asked for does not go with the state the machine
// is in. The House may wrap it to say more.
var ErrConflict = machine.ErrConflict

// House is what the pages show and do. Its methods are called from several
// goroutines at once. The error for a name that no machine has is
// machine.ErrUnknown, which may be wrapped to say more.
type House interface {
	// Machines returns every machine known at this moment, in any order.
	Machines() []machine.Status
	// WakeRules returns what the configuration says about which packets wake.
	WakeRules() machine.WakeRules
	// Wake begins to wake a machine, and returns before it is up. By tells who
	// asked, for the log.
	Wake(ctx context.Context, name, by string) error
	// TestWake is Wake for a wake that shows whether waking works. It does not count.
	TestWake(ctx context.Context, name, by string) error
	// WakeMAC sends a magic packet for a MAC that no machine has.
	WakeMAC(ctx context.Context, mac ether.MAC, by string) error
	// Pause leaves a machine alone until then: nothing is claimed, watched or woken.
	// Unpause ends that before its time.
	Pause(ctx context.Context, name string, until time.Time, by string) error
	Unpause(ctx context.Context, name, by string) error
	// Forget ends what is done for a machine and drops what is known of it.
	Forget(ctx context.Context, name, by string) error
	// Ready returns nil once claims are restored and sockets open, and before
	// that why not.
	Ready() error
	// Events returns what happened and is not forgotten yet, oldest first: what
	// has a Seq above since, of the machine of that name unless it is empty, and
	// only the newest of it if there is more than limit.
	Events(since uint64, machine string, limit int) []journal.Event
	// Follow returns a channel that gets every event from now on, in the order of
	// their Seq, which counts without a gap. Events that there is no room for are
	// left out, and can still be had from Events. The channel is closed when ctx
	// ends or nothing will happen any more.
	Follow(ctx context.Context) <-chan journal.Event
	// History returns what is kept of the last days of the machine with that MAC:
	// nothing of one that is not known.
	History(mac ether.MAC) journal.MachineHistory
	// Guard tells whether our kernel is kept silent about claimed addresses.
	Guard() guard.Status
	// Storage tells whether what happens can be stored.
	Storage() journal.Health
}

// Options says what to serve, and where. House and Gatherer are required.
type Options struct {
	House    House
	Gatherer prometheus.Gatherer
	// Registerer is for the metrics of the metrics page itself. Optional.
	Registerer prometheus.Registerer
	Log        *slog.Logger // optional: nothing is logged
	Listen     []string     // addresses "host:port" or ":port"; none: Run serves nobody
	WebConfig  string       // exporter-toolkit's file for TLS and passwords; empty: neither
	Rate       int          // wakes and forgets a minute from one source, half of them at once; zero: any number
	Access     Access       // who may wake and forget
	// SourceOf returns whose share a client at an address uses. Optional: that of
	// the address, as ratelimit.SourceOf says.
	SourceOf func(netip.Addr) ratelimit.Source
	Version  string // shown on the page
	Look     Look   // what the configuration says of the page
	// Networks returns what is watched, for the page. Optional.
	Networks     func() []Network
	Registration []string // addresses where machines register, as in Listen
	Now          func() time.Time
}

// Server serves a House over HTTP.
type Server struct {
	opts      Options
	handler   http.Handler
	peers     peers
	places    *places // of connections
	ration    *ration
	gate      *gate
	maker     *maker
	passwords *passwords
	streams   *streams
	look      atomic.Pointer[Look]
	config    atomic.Pointer[ConfigState]
	listeners []net.Listener
}

// New returns a server that does not listen yet. Its error names the key of the
// configuration that is at fault.
func New(opts Options) (*Server, error) {
	if opts.House == nil || opts.Gatherer == nil {
		return nil, errors.New("web: a House and a Gatherer are required")
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
		opts: opts, peers: clients, places: newPlaces(maxConnections, eachConnections, connectionPatience),
		ration: &ration{peers: clients}, gate: newGate(), maker: newMaker(clients),
		passwords: newPasswords(clients, quietly(opts.Log)), streams: newStreams(clients, quietly(opts.Log)),
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
func (s *Server) SetRate(perMinute int) { s.ration.set(perMinute) }

// SetAccess changes Options.Access.
func (s *Server) SetAccess(a Access) { s.gate.set(a) }

// SetLook changes Options.Look.
func (s *Server) SetLook(l Look) { s.look.Store(&l) }

// SetConfig changes what is told of the configuration. New takes it for loaded.
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
		Handler:           answering(within(s.handler)),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxRequests},
		ErrorLog:          log.New(serverLog{handshakes: quietly(s.opts.Log), others: quietly(s.opts.Log)}, "", 0),
		BaseContext:       func(net.Listener) context.Context { return requests },
		ConnContext:       withPlace,
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
	admitted := &admission{Listener: l, places: s.places, peers: s.peers, log: quietly(s.opts.Log)}
	if s.opts.WebConfig != "" {
		// The toolkit puts its own handler into the server and serves at once. Before
		// the first connection ours is put before it.
		admitted.first = func() { server.Handler = s.passwords.before(server.Handler) }
	}
	flags := &toolkit.FlagConfig{WebListenAddresses: &s.opts.Listen, WebConfigFile: &s.opts.WebConfig}
	err := toolkit.Serve(admitted, server, flags, quietly(s.opts.Log))
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
