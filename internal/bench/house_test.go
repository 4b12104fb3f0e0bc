package bench

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"nightporter/internal/lab"
	"nightporter/internal/lab/labtest"
	"nightporter/internal/labdaemon"
)

// brisk makes the daemon settle in 0.3 s instead of 3 s.
const brisk = "probe: {interval: 100ms}\n"

// house is a LAN with a running daemon, for one benchmark.
type house struct {
	*testing.B
	ctx context.Context
	lan *lab.LAN
	d   *labdaemon.Daemon
}

// open starts a house. conf is added to the daemon's configuration.
func open(b *testing.B, conf string) *house {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 2*time.Minute)
	b.Cleanup(cancel)
	lan := labtest.New(b)
	h := &house{B: b, ctx: ctx, lan: lan}
	// The rig's configuration logs for tests; this is what an operator has.
	var err error
	h.d, err = labdaemon.Start(ctx, lan, b.TempDir(), labdaemon.Options{Exe: *exe, Config: conf, Env: []string{"NIGHTPORTER_LOG__LEVEL=info"}})
	h.must(err)
	b.Cleanup(h.d.Kill)
	return h
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// within returns a context with a deadline, for one call.
func (h *house) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(h.ctx, d)
	h.Cleanup(cancel)
	return ctx
}

// The sleeping machine of the benchmarks that need one.
var (
	nas4 = netip.MustParseAddr("10.77.0.20")
	nas6 = netip.MustParseAddr("fd77::20")
)

// port is the service that every machine is woken for.
const port = 22

// sleeper adds a machine, and lets it sleep until its addresses are claimed.
// Nothing wakes it again.
func (h *house) sleeper() *lab.Machine {
	h.Helper()
	m, err := h.lan.AddMachine(lab.MachineConfig{
		Name:        "nas",
		Addrs:       []netip.Prefix{netip.PrefixFrom(nas4, 24), netip.PrefixFrom(nas6, 64)},
		IgnoreMagic: lab.IgnoreAll,
	})
	h.must(err)
	n := h.d.Log.Len()
	h.must(h.register(h.within(patience), m.Host, "nas", m.MAC(), nas4, nas6))
	h.must(m.Sleep(h.ctx))
	h.moved(n, "asleep", 1)
	return m
}

func (h *house) register(ctx context.Context, from *lab.Host, name string, mac ether.MAC, ips ...netip.Addr) error {
	var monitor []string
	for _, ip := range ips {
		monitor = append(monitor, fmt.Sprintf(`{"ip":%q,"port":["%d/tcp"]}`, ip, port))
	}
	body := fmt.Sprintf(`{"name":%q,"mac":%q,"monitor":[%s]}`, name, mac, strings.Join(monitor, ","))
	answer, err := h.d.Register(ctx, from, body)
	if err == nil && answer != "OK." {
		err = fmt.Errorf("registering %s answered %q", name, answer)
	}
	return err
}

// moved waits until count different machines have gone into a state, as logged
// after the first n entries.
func (h *house) moved(n int, to string, count int) {
	h.Helper()
	seen := make(map[string]bool)
	_, err := h.d.Log.Wait(h.within(20*time.Second), n, func(e labdaemon.Entry) bool {
		if name := e.Field("machine"); labdaemon.Moved(name, "", to, "")(e) {
			seen[name] = true
		}
		return len(seen) == count
	})
	if err != nil {
		h.Fatalf("%d of %d machines became %s: %.2000v", len(seen), count, to, err)
	}
}

// guest is a machine that is known by registration alone; nothing stands on
// the LAN for it.
type guest struct {
	mac ether.MAC
	ip4 netip.Addr
	ip6 netip.Addr
}

func guestNumber(i int) guest {
	hi, lo := byte((i+256)>>8), byte(i)
	ip6 := netip.MustParseAddr("fd80::").As16()
	ip6[14], ip6[15] = hi, lo
	return guest{
		mac: ether.MAC{0x02, 0x80, 0, 0, hi, lo},
		ip4: netip.AddrFrom4([4]byte{10, 80, hi, lo}),
		ip6: netip.AddrFrom16(ip6),
	}
}

// anyone lets the guests be registered by somebody else.
const anyone = brisk + "registration: {trust: open, max_connections: 256, rate: 0}\n"

// roomy gives a host addresses in the guests' networks.
func (h *house) roomy(host *lab.Host, last string) {
	h.Helper()
	for _, p := range []string{"10.80.0." + last + "/16", "fd80::" + last + "/64"} {
		h.must(host.AddAddr(h.within(patience), netip.MustParsePrefix(p)))
	}
}

// guests registers count machines and waits until all are claimed.
func (h *house) guests(count int) []guest {
	h.Helper()
	h.roomy(h.lan.Porter(), "2")
	n := h.d.Log.Len()
	ctx := h.within(30 * time.Second)
	var group errgroup.Group
	group.SetLimit(12) // one source may hold 16 connections
	var all []guest
	for i := range count {
		g := guestNumber(i)
		all = append(all, g)
		group.Go(func() error {
			return h.register(ctx, h.lan.Client(), fmt.Sprintf("guest%d", i), g.mac, g.ip4, g.ip6)
		})
	}
	h.must(group.Wait())
	h.moved(n, "asleep", count)
	return all
}

// cpu returns the processor time that the daemon has used.
func (h *house) cpu() time.Duration {
	h.Helper()
	const sched = 2 // CPUCLOCK_SCHED: the clock that clock_getcpuclockid(3) returns
	var t unix.Timespec
	h.must(unix.ClockGettime(int32(^h.d.Pid()<<3|sched), &t))
	return time.Duration(t.Nano())
}

// quiet waits until the daemon has nothing more to do: it announces its claims
// for some seconds, at most four apart.
func (h *house) quiet() {
	h.Helper()
	const (
		pause  = 4500 * time.Millisecond
		little = 5 * time.Millisecond // of processor time; a thousand announcements take more
	)
	used, since := h.cpu(), time.Now()
	for deadline := time.Now().Add(30 * time.Second); time.Since(since) < pause; time.Sleep(100 * nap) {
		if now := h.cpu(); now-used > little {
			used, since = now, time.Now()
		}
		if time.Now().After(deadline) {
			h.Fatal("the daemon is still busy, with nothing to do")
		}
	}
}
