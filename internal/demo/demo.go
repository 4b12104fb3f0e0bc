// Package demo shows the main job: it builds a LAN in network namespaces, runs
// the real daemon in it, puts a machine to sleep, connects to it with an
// ordinary client, and tells what happens as it happens.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
)

// Options says how to show it.
type Options struct {
	Exe   string // nightporter itself
	Out   io.Writer
	Color bool
	Keep  bool // leave the LAN running until ctx ends
}

// The machine of the demo. It announces itself long before its service listens,
// which falls between two of the client's SYN retransmissions, and has both
// families of addresses.
var (
	nas4    = netip.MustParseAddr("10.77.0.20")
	nas6    = netip.MustParseAddr("fd77::20")
	sleeper = lab.MachineConfig{
		Name:     "nas",
		Addrs:    []netip.Prefix{netip.PrefixFrom(nas4, 24), netip.PrefixFrom(nas6, 64)},
		Boot:     2300 * time.Millisecond,
		Announce: true,
		Services: []lab.ServiceConfig{{Network: "tcp", Port: 22, Delay: 1200 * time.Millisecond}},
	}
)

// daemonConfig makes the demo short: asked so often, the machine counts as off 3 s
// after its last answer.
const daemonConfig = "probe: {interval: 200ms}\n"

// keptConfig has a wake that fails fail after 2 s.
const keptConfig = "wake: {attempts: 2, interval: 1s, timeout: 2s}\n"

// connectTimeout is how patient the client is.
const connectTimeout = 30 * time.Second

// show is one run of the demo.
type show struct {
	*timeline
	lan *lab.LAN
	d   *labdaemon.Daemon
	nas *lab.Machine
}

// Run shows the demo. It returns nil only if the client was served, over IPv4
// and over IPv6.
func Run(ctx context.Context, o Options) (err error) {
	dir, err := os.MkdirTemp("", "nightporter-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s := &show{timeline: newTimeline(o.Out, o.Color)}
	defer s.run()()
	// The LAN outlives an interruption by as long as the daemon takes to leave.
	if s.lan, err = lab.New(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("build the LAN: %w", err)
	}
	defer func() { err = errors.Join(err, s.lan.Close()) }()
	s.say("lan", "a switch, a router, a client, the porter's host and a NAS, each in a network namespace")
	config := daemonConfig
	if o.Keep {
		config += keptConfig
	}
	if s.d, err = labdaemon.Start(ctx, s.lan, dir, labdaemon.Options{Exe: o.Exe, Config: config}); err != nil {
		return err
	}
	defer s.d.Kill()
	s.say("porter", "nightporter runs on %s, %s", s.lan.Porter().Addr4(), s.lan.Porter().Addr6())
	if s.nas, err = s.lan.AddMachine(sleeper); err != nil {
		return err
	}
	s.say("nas", "is awake, serves SSH on %s and %s", nas4, nas6)

	ctx, stopTelling := context.WithCancel(ctx)
	told := s.follow(ctx, s.d, s.nas)
	defer func() { stopTelling(); <-told }()

	before, err := s.d.Metrics(ctx)
	if err != nil {
		return err
	}
	for _, ip := range []netip.Addr{nas4, nas6} {
		if err := s.night(ctx, ip); err != nil {
			return err
		}
	}
	if err := s.metrics(ctx, before); err != nil {
		return err
	}
	if o.Keep {
		return s.keep(ctx)
	}
	return s.stop(ctx)
}

// night lets the machine sleep, and a client wake it at one of its addresses.
func (s *show) night(ctx context.Context, ip netip.Addr) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	family := "IPv4"
	if ip.Is6() {
		family = "IPv6"
	}
	s.title("A night, and a knock over " + family)
	seen := s.d.Log.Len()
	body := fmt.Sprintf(`{"mac":%q,"name":"nas","monitor":[{"ip":%q,"port":["22/tcp"]},{"ip":%q,"port":["22/tcp"]}]}`,
		s.nas.MAC(), nas4, nas6)
	s.say("nas", "registers with the porter: I am about to sleep, wake me for SSH")
	answer, err := s.d.Register(ctx, s.nas.Host, body)
	if err != nil {
		return err
	}
	if answer != "OK." {
		return fmt.Errorf("the porter refused the registration: %s", answer)
	}
	if err := s.nas.SleepAfter(500 * time.Millisecond); err != nil {
		return err
	}
	if _, err := s.d.Log.Wait(ctx, seen, labdaemon.Moved("nas", "settling", "asleep", "")); err != nil {
		return err
	}
	if err := s.connect(ctx, ip); err != nil {
		return fmt.Errorf("the client was not served: %w", err)
	}
	if _, err := s.d.Log.Wait(ctx, seen, labdaemon.Moved("nas", "arriving", "awake", "")); err != nil {
		return err
	}
	if _, err := s.d.Log.Wait(ctx, seen, labdaemon.Is("replayed")); err != nil {
		return err
	}
	return s.caughtUp(ctx, s.d.Log.Len())
}

// connect is the client. It tries once, like most programs.
func (s *show) connect(ctx context.Context, ip netip.Addr) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	client, to := s.lan.Client(), netip.AddrPortFrom(ip, 22).String()
	began := time.Now()
	s.say("client", "connects to %s", to)
	conn, err := client.Dial(ctx, "tcp", to)
	if err != nil {
		return err
	}
	defer conn.Close()
	at := time.Now()
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	hello := make([]byte, len(lab.Banner(sleeper.Name)))
	if _, err := io.ReadFull(conn, hello); err != nil {
		return err
	}
	if string(hello) != lab.Banner(sleeper.Name) {
		return fmt.Errorf("a stranger answered: %q", hello)
	}
	s.sayAt(at, "client", fmt.Sprintf("is connected to %q with its first attempt, %v after it began", sleeper.Name, at.Sub(began).Round(time.Millisecond)))
	ready, err := s.ready(ip)
	if err != nil {
		return err
	}
	s.sayAt(at, "client", fmt.Sprintf("handover: service ready -> client connected: %.1f ms", float64(at.Sub(ready).Microseconds())/1000))
	return nil
}

// ready tells when the service at ip began to listen this night.
func (s *show) ready(ip netip.Addr) (time.Time, error) {
	for _, e := range slices.Backward(s.nas.Log()) {
		if e.Kind == lab.ServiceUp && e.Service.Addr == ip {
			return e.Time, nil
		}
	}
	return time.Time{}, fmt.Errorf("no service came up at %s", ip)
}

// metrics shows what changed for a scraper.
func (s *show) metrics(ctx context.Context, before labdaemon.Samples) error {
	after, err := s.d.Metrics(ctx)
	if err != nil {
		return err
	}
	s.title("What Prometheus sees")
	for _, line := range after.Changed(before, "nightporter_") {
		if !strings.Contains(line, "_bucket{") {
			s.line("  " + line)
		}
	}
	return nil
}

// stop ends the daemon in good order.
func (s *show) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	code, err := s.d.Stop(ctx)
	if err == nil && code != 0 {
		err = fmt.Errorf("the daemon ended with exit code %d", code)
	}
	return err
}
