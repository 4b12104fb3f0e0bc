package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
	"nightporter/internal/lab/labtest"
	"nightporter/internal/labdaemon"
	"nightporter/internal/machine"
)

// fastProbe makes the daemon settle in 0.3 s instead of 3 s.
const fastProbe = "probe: {interval: 100ms}\n"

// harness is a LAN with a running daemon, for one test.
type harness struct {
	testing.TB
	ctx    context.Context
	lan    *lab.LAN
	daemon *labdaemon.Daemon
}

// newLAN builds a lab, and a context of a minute.
func newLAN(t testing.TB) (context.Context, *lab.LAN) {
	t.Helper()
	return newLANFor(t, time.Minute)
}

func newLANFor(t testing.TB, limit time.Duration) (context.Context, *lab.LAN) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx, labtest.New(t)
}

// open starts a daemon on a new LAN. conf is added to the daemon's configuration.
func open(t *testing.T, conf string) *harness {
	t.Helper()
	return openFor(t, conf, time.Minute)
}

// openFor is open for a test that takes up to limit.
func openFor(t *testing.T, conf string, limit time.Duration) *harness {
	t.Helper()
	t.Parallel()
	ctx, lan := newLANFor(t, limit)
	return openOn(ctx, t, lan, conf)
}

// openOn starts a daemon on an existing LAN.
func openOn(ctx context.Context, t testing.TB, lan *lab.LAN, conf string) *harness {
	t.Helper()
	return openIn(ctx, t, lan, t.TempDir(), conf)
}

// openIn is openOn with a given state directory.
func openIn(ctx context.Context, t testing.TB, lan *lab.LAN, dir, conf string) *harness {
	t.Helper()
	return openAs(ctx, t, lan, "", dir, conf)
}

// openAs is openIn with the user that the daemon becomes.
func openAs(ctx context.Context, t testing.TB, lan *lab.LAN, user, dir, conf string) *harness {
	t.Helper()
	d, err := labdaemon.Start(ctx, lan, dir, labdaemon.Options{Exe: os.Args[0], Env: programEnv, User: user, Config: conf})
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{TB: t, ctx: ctx, lan: lan, daemon: d}
	h.killAtEnd(d)
	return h
}

// killAtEnd kills a daemon at the end of the test, and checks its log for data races.
func (h *harness) killAtEnd(d *labdaemon.Daemon) {
	h.Cleanup(func() {
		d.Kill()
		if h.Failed() {
			h.Log("the daemon's log:\n" + d.Log.Text())
		}
		if strings.Contains(d.Log.Text(), "DATA RACE") {
			h.Error("the daemon has a data race:\n" + d.Log.Text())
		}
	})
}

// within returns the test's context with a deadline.
func (h *harness) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(h.ctx, d)
	h.Cleanup(cancel)
	return ctx
}

func (h *harness) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// The addresses of nas, the machine of most tests.
var (
	nas4 = netip.MustParseAddr("10.77.0.20")
	nas6 = netip.MustParseAddr("fd77::20")
)

// addNAS adds a machine with SSH over TCP and a game over UDP. Its boot ends between two SYN
// retransmissions of a client.
func (h *harness) addNAS(change func(*lab.MachineConfig)) *lab.Machine {
	h.Helper()
	cfg := lab.MachineConfig{
		Name:  "nas",
		Addrs: []netip.Prefix{netip.PrefixFrom(nas4, 24), netip.PrefixFrom(nas6, 64)},
		Boot:  450 * time.Millisecond,
		Services: []lab.ServiceConfig{
			{Network: "tcp", Port: 22},
			{Network: "udp", Port: 27015},
		},
	}
	if change != nil {
		change(&cfg)
	}
	m, err := h.lan.AddMachine(cfg)
	h.must(err)
	return m
}

// monitored is an element of monitor in a registration.
type monitored struct {
	IP   netip.Addr `json:"ip"`
	Port []any      `json:"port"`
}

// registration returns the text of a registration.
func registration(name string, mac ether.MAC, monitor ...monitored) string {
	b, err := json.Marshal(map[string]any{"name": name, "mac": mac, "monitor": monitor})
	if err != nil {
		panic(err) // of constants
	}
	return string(b)
}

// nasRegistration returns the registration of nas.
func nasRegistration(m *lab.Machine) string {
	ports := []any{22, "27015/udp", "icmp"}
	return registration(m.Name(), m.MAC(), monitored{nas4, ports}, monitored{nas6, ports})
}

func (h *harness) register(from *lab.Host, body string) {
	h.Helper()
	answer, err := h.daemon.Register(h.within(10*time.Second), from, body)
	h.must(err)
	if answer != "OK." {
		h.Fatalf("registration answered %q", answer)
	}
}

// wantRefused registers, and expects an answer of one line that contains each of the words.
func (h *harness) wantRefused(from *lab.Host, body string, words ...string) {
	h.Helper()
	answer, err := h.daemon.Register(h.within(10*time.Second), from, body)
	h.must(err)
	if answer == "OK." || strings.Count(strings.TrimRight(answer, "\n"), "\n") > 0 {
		h.Errorf("registering %s answered %q", body, answer)
	}
	for _, w := range words {
		if !strings.Contains(answer, w) {
			h.Errorf("registering %s answered %q, without %q", body, answer, w)
		}
	}
}

// waitMove waits for a transition that is logged after the first n entries.
func (h *harness) waitMove(n int, name, from, to string, reason machine.Reason) labdaemon.Entry {
	h.Helper()
	e, err := h.daemon.Log.Wait(h.within(20*time.Second), n, labdaemon.Moved(name, from, to, string(reason)))
	if err != nil {
		h.Fatalf("no transition of %s from %q to %q (%s): %v", name, from, to, reason, err)
	}
	return e
}

// putToSleep registers m and lets it sleep until it is claimed.
func (h *harness) putToSleep(m *lab.Machine) {
	h.Helper()
	n := h.daemon.Log.Len()
	h.register(m.Host, nasRegistration(m))
	h.must(m.Sleep(h.ctx))
	h.waitMove(n, m.Name(), "settling", "asleep", machine.WhySilent)
}

func (h *harness) waitEvent(m *lab.Machine, kind lab.EventKind) lab.Event {
	h.Helper()
	e, err := m.WaitEvent(h.within(20*time.Second), kind)
	h.must(err)
	return e
}

// waitNeighbor waits until a host's kernel has mac as the neighbor entry of ip.
func (h *harness) waitNeighbor(host *lab.Host, ip netip.Addr, mac ether.MAC) {
	h.Helper()
	h.must(waitNeighborAt(h.within(10*time.Second), host, ip, mac))
}

// waitNeighborAt is waitNeighbor for use in other goroutines.
func waitNeighborAt(ctx context.Context, host *lab.Host, ip netip.Addr, mac ether.MAC) error {
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		got, _, ok, err := host.Neighbor(ip)
		if err != nil || ok && got == mac {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("%s has %v at %v, want %v: %w", host.Name(), ip, got, mac, ctx.Err())
		}
	}
}

// metric returns the value of a series, which is written as in a query.
func (h *harness) metric(format string, args ...any) float64 {
	h.Helper()
	all, err := h.daemon.Metrics(h.within(5 * time.Second))
	h.must(err)
	series := fmt.Sprintf(format, args...)
	v, ok := all[series]
	if !ok {
		h.Fatalf("no series %s", series)
	}
	return v
}

func (h *harness) wantMetric(want float64, format string, args ...any) {
	h.Helper()
	if got := h.metric(format, args...); got != want {
		h.Errorf("%s is %v, want %v", fmt.Sprintf(format, args...), got, want)
	}
}

// magicPackets returns the numbers of magic packets that m received, by transport.
func magicPackets(m *lab.Machine) map[lab.Transport]int {
	seen := make(map[lab.Transport]int)
	for _, e := range m.Log() {
		if e.Kind == lab.MagicPacket {
			seen[e.Transport]++
		}
	}
	return seen
}

func happened(m *lab.Machine, kind lab.EventKind) bool {
	return slices.ContainsFunc(m.Log(), func(e lab.Event) bool { return e.Kind == kind })
}

// wantNeighbor removes a host's neighbor entry of ip, lets it resolve ip, and expects mac.
func (h *harness) wantNeighbor(host *lab.Host, ip netip.Addr, mac ether.MAC) {
	h.Helper()
	h.must(host.ForgetNeighbor(ip))
	h.must(host.WarmNeighbor(h.within(5*time.Second), ip))
	h.waitNeighbor(host, ip, mac)
}

// isConflict matches the warning that another host uses an address.
func isConflict(ip netip.Addr, by ether.MAC) func(labdaemon.Entry) bool {
	return func(e labdaemon.Entry) bool {
		return e.Field("event") == "conflict" && e.Field("ip") == ip.String() && e.Field("used_by") == by.String()
	}
}

func contains(s string, words ...string) bool {
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(s, w) })
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// sleepUntil waits until the time d after since.
func sleepUntil(since time.Time, d time.Duration) { time.Sleep(time.Until(since.Add(d))) }

// pauseOrFail waits for d. The test fails if its time ends before.
func pauseOrFail(h *harness, d time.Duration) {
	h.Helper()
	select {
	case <-time.After(d):
	case <-h.ctx.Done():
		h.Fatal("the test is out of time")
	}
}
