package e2e

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
	handoverRounds   = 5
	machinesPerHabit = 5 // machines; all wake at once in each round
)

// BenchmarkConnectedAfterReady measures the time from a machine's service being ready to its
// client being connected. The client's connect began while the machine slept. The kernel's
// figure is the same client's connection to the awake machine.
func BenchmarkConnectedAfterReady(b *testing.B) {
	h := openBench(b, fastProbe)
	client := h.lan.Client()
	machines := addBootingMachines(h)
	porterTimes := make(map[string]latencies)
	var kernelTimes latencies
	for b.Loop() {
		for range handoverRounds {
			sleepAll(h, machines)
			connectToAll(h, client, machines)
			for _, l := range machines {
				porterTimes[l.habit] = append(porterTimes[l.habit], l.after)
				kernelTimes = append(kernelTimes, timeConnect(h, client, l.ip))
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	var all latencies
	for habit, l := range porterTimes {
		b.ReportMetric(millis(l.percentile(0.5)), habit+"-p50-ms")
		all = append(all, l...)
	}
	b.ReportMetric(millis(all.percentile(0.5)), "p50-ms")
	b.ReportMetric(millis(all.percentile(0.99)), "p99-ms")
	b.ReportMetric(millis(all.percentile(1)), "max-ms")
	b.ReportMetric(millis(kernelTimes.percentile(0.5)), "kernel-p50-ms")
	b.ReportMetric(millis(kernelTimes.percentile(0.99)), "kernel-p99-ms")
}

// bootingMachine is a machine that boots when it is woken, with the address that a client
// connects to.
type bootingMachine struct {
	*lab.Machine
	habit string
	ip    netip.Addr
	after time.Duration // from the service being ready to the client being connected
}

// addBootingMachines adds machines of each habit: requested over either family; quiet, with
// their service up when the network is up, or announcing, with their service still starting.
func addBootingMachines(h *harness) (all []*bootingMachine) {
	h.Helper()
	random := rand.New(rand.NewPCG(3, 3)) // the same in every run
	for i := range 4 * machinesPerHabit {
		ip4, ip6 := netip.AddrFrom4([4]byte{10, 77, 0, byte(100 + i)}), netip.MustParseAddr(fmt.Sprintf("fd77::1:%x", i))
		l := &bootingMachine{habit: "ipv4", ip: ip4}
		cfg := lab.MachineConfig{Name: fmt.Sprintf("booting%d", i), Addrs: []netip.Prefix{netip.PrefixFrom(ip4, 24)}, Boot: drawReadyTime(random)}
		if i%2 == 1 {
			l.habit, l.ip = "ipv6", ip6
			cfg.Addrs = append(cfg.Addrs, netip.PrefixFrom(ip6, 64))
		}
		service := lab.ServiceConfig{Addr: l.ip, Network: "tcp", Port: benchPort}
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

// drawReadyTime returns a time from power-on to a ready service that is far from the client's
// retransmissions, 1, 2, 3, 4, 5 and 7 s after its first SYN (Linux, tcp_syn_linear_timeouts).
// A retransmission at that moment would hide the porter's delay. A lost replay shows as 200 ms
// or more. The second of duplicate address detection for IPv6 changes nothing.
func drawReadyTime(random *rand.Rand) time.Duration {
	const earliest, latest = 300 * time.Millisecond, 800 * time.Millisecond
	return time.Duration(random.IntN(2))*time.Second + earliest + time.Duration(random.Int64N(int64(latest-earliest)))
}

// sleepAll registers the machines and lets them sleep until all are claimed.
func sleepAll(h *harness, machines []*bootingMachine) {
	h.Helper()
	n := h.daemon.Log.Len()
	forEach(h, machines, func(ctx context.Context, l *bootingMachine) error {
		ips := []netip.Addr{l.Addr4()}
		if l.Addr6().IsValid() {
			ips = append(ips, l.Addr6())
		}
		if err := registerMachine(ctx, h, l.Host, l.Name(), l.MAC(), ips...); err != nil {
			return err
		}
		return l.Sleep(ctx)
	})
	waitAllMoved(h, n, "asleep", len(machines))
}

// connectToAll connects to each machine with the client's first attempt, and waits until the
// wakes are over.
func connectToAll(h *harness, client *lab.Host, machines []*bootingMachine) {
	h.Helper()
	n := h.daemon.Log.Len()
	forEach(h, machines, func(ctx context.Context, l *bootingMachine) error {
		conn, err := client.Dial(ctx, "tcp", netip.AddrPortFrom(l.ip, benchPort).String())
		connected := time.Now()
		if err != nil {
			return err
		}
		defer conn.Close()
		ready, err := l.WaitEvent(ctx, lab.ServiceUp)
		l.after = connected.Sub(ready.Time)
		return err
	})
	waitAllMoved(h, n, "awake", len(machines))
}

// forEach calls do for all machines at once.
func forEach(h *harness, machines []*bootingMachine, do func(context.Context, *bootingMachine) error) {
	h.Helper()
	group, ctx := errgroup.WithContext(h.within(15 * time.Second))
	for _, l := range machines {
		group.Go(func() error { return do(ctx, l) })
	}
	h.must(group.Wait())
}

// timeConnect returns the time of a connect to an awake machine.
func timeConnect(h *harness, client *lab.Host, ip netip.Addr) time.Duration {
	h.Helper()
	began := time.Now()
	conn, err := client.Dial(h.within(benchTimeout), "tcp", netip.AddrPortFrom(ip, benchPort).String())
	took := time.Since(began)
	h.must(err)
	h.must(conn.Close())
	return took
}
