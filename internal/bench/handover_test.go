package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"nightporter/internal/lab"
)

const (
	handoverRounds = 5
	ofEachHabit    = 5 // machines; all of them wake at once in every round
)

// BenchmarkConnectedAfterReady measures how long after a machine's service is
// ready its client is connected, if the client's first connect began while the
// machine slept. Beside it is what the same client needs for a connection to
// the same machine when that is awake.
func BenchmarkConnectedAfterReady(b *testing.B) {
	h := open(b, brisk)
	client := h.lan.Client()
	lodgers := h.lodgers()
	ours := make(map[string]latencies)
	var kernels latencies
	for b.Loop() {
		for range handoverRounds {
			h.allSleep(lodgers)
			h.knockAll(client, lodgers)
			for _, l := range lodgers {
				ours[l.habit] = append(ours[l.habit], l.after)
				kernels = append(kernels, h.plainConnect(client, l.ip))
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	var all latencies
	for habit, l := range ours {
		b.ReportMetric(millis(l.percentile(0.5)), habit+"-p50-ms")
		all = append(all, l...)
	}
	b.ReportMetric(millis(all.percentile(0.5)), "p50-ms")
	b.ReportMetric(millis(all.percentile(0.99)), "p99-ms")
	b.ReportMetric(millis(all.percentile(1)), "max-ms")
	b.ReportMetric(millis(kernels.percentile(0.5)), "kernel-p50-ms")
	b.ReportMetric(millis(kernels.percentile(0.99)), "kernel-p99-ms")
}

// lodger is a machine that boots when it is woken, and whom a client wants at
// one of its addresses.
type lodger struct {
	*lab.Machine
	habit string
	ip    netip.Addr
	after time.Duration // from the service being ready to the client being connected
}

// lodgers adds machines of every habit: wanted at either family; either quiet,
// their service up with their network, or such as announce themselves while
// their service is still starting.
func (h *house) lodgers() (all []*lodger) {
	h.Helper()
	weather := rand.New(rand.NewPCG(3, 3)) // the same in every run
	for i := range 4 * ofEachHabit {
		ip4, ip6 := netip.AddrFrom4([4]byte{10, 77, 0, byte(100 + i)}), netip.MustParseAddr(fmt.Sprintf("fd77::1:%x", i))
		l := &lodger{habit: "ipv4", ip: ip4}
		cfg := lab.MachineConfig{Name: fmt.Sprintf("lodger%d", i), Addrs: []netip.Prefix{netip.PrefixFrom(ip4, 24)}, Boot: readyAfter(weather)}
		if i%2 == 1 {
			l.habit, l.ip = "ipv6", ip6
			cfg.Addrs = append(cfg.Addrs, netip.PrefixFrom(ip6, 64))
		}
		service := lab.ServiceConfig{Addr: l.ip, Network: "tcp", Port: port}
		if i%4 < 2 {
			l.habit += "-quiet"
		} else {
			l.habit += "-announcing"
			cfg.Announce = true
			service.Delay = cfg.Boot / 2
			cfg.Boot -= service.Delay
		}
		cfg.Services = []lab.ServiceConfig{service}
		var err error
		l.Machine, err = h.lan.AddMachine(cfg)
		h.must(err)
		all = append(all, l)
	}
	return all
}

// readyAfter returns a time from power-on to a service that is far from the
// client's own retransmissions, 1, 2, 3, 4, 5, 7 s after its first SYN (Linux,
// tcp_syn_linear_timeouts): one that came when the service had just become
// ready would make us look good, and a replay that was lost shows as 200 ms at
// least. The second of duplicate address detection for IPv6 changes nothing.
func readyAfter(weather *rand.Rand) time.Duration {
	const earliest, latest = 300 * time.Millisecond, 800 * time.Millisecond
	return time.Duration(weather.IntN(2))*time.Second + earliest + time.Duration(weather.Int64N(int64(latest-earliest)))
}

// allSleep has the lodgers register and sleep until all are claimed.
func (h *house) allSleep(lodgers []*lodger) {
	h.Helper()
	n := h.d.Log.Len()
	h.each(lodgers, func(ctx context.Context, l *lodger) error {
		ips := []netip.Addr{l.Addr4()}
		if l.Addr6().IsValid() {
			ips = append(ips, l.Addr6())
		}
		if err := h.register(ctx, l.Host, l.Name(), l.MAC(), ips...); err != nil {
			return err
		}
		return l.Sleep(ctx)
	})
	h.moved(n, "asleep", len(lodgers))
}

// knockAll connects to every lodger with its client's first attempt, and waits
// until their wakes are over.
func (h *house) knockAll(client *lab.Host, lodgers []*lodger) {
	h.Helper()
	n := h.d.Log.Len()
	h.each(lodgers, func(ctx context.Context, l *lodger) error {
		conn, err := client.Dial(ctx, "tcp", netip.AddrPortFrom(l.ip, port).String())
		connected := time.Now()
		if err != nil {
			return err
		}
		defer conn.Close()
		ready, err := l.WaitEvent(ctx, lab.ServiceUp)
		l.after = connected.Sub(ready.Time)
		return err
	})
	h.moved(n, "awake", len(lodgers))
}

// each does something with all lodgers at once.
func (h *house) each(lodgers []*lodger, do func(context.Context, *lodger) error) {
	h.Helper()
	group, ctx := errgroup.WithContext(h.within(15 * time.Second))
	for _, l := range lodgers {
		group.Go(func() error { return do(ctx, l) })
	}
	h.must(group.Wait())
}

// plainConnect returns how long a connect to a machine that is awake takes.
func (h *house) plainConnect(client *lab.Host, ip netip.Addr) time.Duration {
	h.Helper()
	began := time.Now()
	conn, err := client.Dial(h.within(patience), "tcp", netip.AddrPortFrom(ip, port).String())
	took := time.Since(began)
	h.must(err)
	h.must(conn.Close())
	return took
}
