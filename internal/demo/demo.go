// Package demo shows nightporter at work: it builds a LAN of network namespaces, runs the
// daemon in it, puts a machine to sleep, connects to it with a client, and prints each step
// when it happens.
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

// Options are the settings of a demo.
type Options struct {
	Exe   string // path of the daemon's executable
	Out   io.Writer
	Color bool // write ANSI colors to Out
	Keep  bool // keep the LAN running until ctx ends, with more machines
}

// The machine of the demo has an IPv4 and an IPv6 address. It announces them long before its
// service listens, which is between two of the client's SYN retransmissions.
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

// daemonConfig makes the demo short: with this interval the machine counts as off 3 s after
// its last answer.
const daemonConfig = "probe: {interval: 200ms}\n"

// keepConfig makes a wake fail after 2 d.
const keepConfig = "wake: {attempts: 2, interval: 1s, timeout: 2s}\n"

// connectTimeout is the client's timeout.
const connectTimeout = 30 * time.Second

// demo is one run of the demo.
type demo struct {
	*timeline
	lan    *lab.LAN
	daemon *labdaemon.Daemon
	nas    *lab.Machine
}

// Run runs the demo. It returns nil only if the client was served over IPv4 and over IPv6.
func Run(ctx context.Context, o Options) (err error) {
	dir, err := os.MkdirTemp("", "nightporter-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d := &demo{timeline: newTimeline(o.Out, o.Color)}
	defer d.run()()
	// After an interruption the daemon still needs the LAN to stop in order.
	if d.lan, err = lab.New(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("build the LAN: %w", err)
	}
	defer func() { err = errors.Join(err, d.lan.Close()) }()
	d.say("lan", "a switch, a router, a client, the porter's host and a NAS, each in a network namespace")
	config := daemonConfig
	if o.Keep {
		config += keepConfig
	}
	if d.daemon, err = labdaemon.Start(ctx, d.lan, dir, labdaemon.Options{Exe: o.Exe, Config: config}); err != nil {
		return err
	}
	defer d.daemon.Kill()
	d.say("porter", "nightporter runs on %s, %s", d.lan.Porter().Addr4(), d.lan.Porter().Addr6())
	if d.nas, err = d.lan.AddMachine(sleeper); err != nil {
		return err
	}
	d.say("nas", "is awake, serves SSH on %s and %s", nas4, nas6)

	ctx, stop := context.WithCancel(ctx)
	stopped := d.follow(ctx, d.daemon, d.nas)
	defer func() { stop(); <-stopped }()

	before, err := d.daemon.Metrics(ctx)
	if err != nil {
		return err
	}
	for _, ip := range []netip.Addr{nas4, nas6} {
		if err := d.sleepAndWake(ctx, ip); err != nil {
			return err
		}
	}
	if err := d.metrics(ctx, before); err != nil {
		return err
	}
	if o.Keep {
		return d.keep(ctx)
	}
	return d.stop(ctx)
}

// sleepAndWake puts the machine to sleep and has a client wake it at one of its addresses.
func (d *demo) sleepAndWake(ctx context.Context, ip netip.Addr) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	family := "IPv4"
	if ip.Is6() {
		family = "IPv6"
	}
	d.title("Sleep, and a knock over " + family)
	seen := d.daemon.Log.Len()
	body := fmt.Sprintf(`{"mac":%q,"name":"nas","monitor":[{"ip":%q,"port":["22/tcp"]},{"ip":%q,"port":["22/tcp"]}]}`,
		d.nas.MAC(), nas4, nas6)
	d.say("nas", "registers with the porter: it is about to sleep, SSH is to wake it")
	answer, err := d.daemon.Register(ctx, d.nas.Host, body)
	if err != nil {
		return err
	}
	if answer != "OK." {
		return fmt.Errorf("the porter refused the registration: %s", answer)
	}
	if err := d.nas.SleepAfter(500 * time.Millisecond); err != nil {
		return err
	}
	if _, err := d.daemon.Log.Wait(ctx, seen, labdaemon.Moved("nas", "settling", "asleep", "")); err != nil {
		return err
	}
	if err := d.connect(ctx, ip); err != nil {
		return fmt.Errorf("the client was not served: %w", err)
	}
	if _, err := d.daemon.Log.Wait(ctx, seen, labdaemon.Moved("nas", "arriving", "awake", "")); err != nil {
		return err
	}
	if _, err := d.daemon.Log.Wait(ctx, seen, labdaemon.Is("replayed")); err != nil {
		return err
	}
	return d.caughtUp(ctx, d.daemon.Log.Len())
}

// connect is the client. It connects once, without a retry of its own.
func (d *demo) connect(ctx context.Context, ip netip.Addr) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	client, to := d.lan.Client(), netip.AddrPortFrom(ip, 22).String()
	began := time.Now()
	d.say("client", "connects to %s", to)
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
		return fmt.Errorf("found the banner %q, expected that of %s", hello, sleeper.Name)
	}
	d.sayAt(at, "client", fmt.Sprintf("is connected to %q with its first attempt, %v after its SYN", sleeper.Name, at.Sub(began).Round(time.Millisecond)))
	ready, err := d.ready(ip)
	if err != nil {
		return err
	}
	d.sayAt(at, "client", fmt.Sprintf("handover: service ready -> client connected: %.1f ms", float64(at.Sub(ready).Microseconds())/1000))
	return nil
}

// ready returns when the service at ip last began to listen.
func (d *demo) ready(ip netip.Addr) (time.Time, error) {
	for _, e := range slices.Backward(d.nas.Log()) {
		if e.Kind == lab.ServiceUp && e.Service.Addr == ip {
			return e.Time, nil
		}
	}
	return time.Time{}, fmt.Errorf("no service came up at %s", ip)
}

// metrics prints the samples that changed since before.
func (d *demo) metrics(ctx context.Context, before labdaemon.Samples) error {
	after, err := d.daemon.Metrics(ctx)
	if err != nil {
		return err
	}
	d.title("Metrics that changed")
	for _, line := range after.Changed(before, "nightporter_") {
		if !strings.Contains(line, "_bucket{") {
			d.line("  " + line)
		}
	}
	return nil
}

// stop stops the daemon with SIGTERM.
func (d *demo) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	code, err := d.daemon.Stop(ctx)
	if err == nil && code != 0 {
		err = fmt.Errorf("the daemon ended with exit code %d", code)
	}
	return err
}
