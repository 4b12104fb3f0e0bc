package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
)

// openBench starts the program as it is delivered, with the log level of an operator's
// configuration; the lab's own configuration logs more.
func openBench(b *testing.B, conf string) *harness {
	b.Helper()
	ctx, lan := newLANFor(b, 2*time.Minute)
	d, err := labdaemon.Start(ctx, lan, b.TempDir(), labdaemon.Options{Exe: *benchProgram, Config: conf, Env: []string{"NIGHTPORTER_LOG__LEVEL=info"}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(d.Kill)
	return &harness{TB: b, ctx: ctx, lan: lan, daemon: d}
}

// benchPort is the service of every machine.
const benchPort = 22

// addSleepingNAS adds a machine that ignores magic packets, and lets it sleep until its
// addresses are claimed.
func addSleepingNAS(h *harness) *lab.Machine {
	h.Helper()
	m, err := h.lan.AddMachine(lab.MachineConfig{
		Name:        "nas",
		Addrs:       []netip.Prefix{netip.PrefixFrom(nas4, 24), netip.PrefixFrom(nas6, 64)},
		IgnoreMagic: lab.IgnoreAll,
	})
	h.must(err)
	n := h.daemon.Log.Len()
	h.must(registerMachine(h.within(benchTimeout), h, m.Host, "nas", m.MAC(), nas4, nas6))
	h.must(m.Sleep(h.ctx))
	waitAllMoved(h, n, "asleep", 1)
	return m
}

// registerMachine registers a machine for benchPort at each address.
func registerMachine(ctx context.Context, h *harness, from *lab.Host, name string, mac ether.MAC, ips ...netip.Addr) error {
	var monitor []monitored
	for _, ip := range ips {
		monitor = append(monitor, monitored{ip, []any{benchPort}})
	}
	answer, err := h.daemon.Register(ctx, from, registration(name, mac, monitor...))
	if err == nil && answer != "OK." {
		err = fmt.Errorf("registering %s answered %q", name, answer)
	}
	return err
}

// absentMachine is a machine that has a registration and no host on the LAN.
type absentMachine struct {
	mac ether.MAC
	ip4 netip.Addr
	ip6 netip.Addr
}

func absentMachineAt(i int) absentMachine {
	hi, lo := byte((i+256)>>8), byte(i)
	ip6 := netip.MustParseAddr("fd80::").As16()
	ip6[14], ip6[15] = hi, lo
	return absentMachine{
		mac: ether.MAC{0x02, 0x80, 0, 0, hi, lo},
		ip4: netip.AddrFrom4([4]byte{10, 80, hi, lo}),
		ip6: netip.AddrFrom16(ip6),
	}
}

// benchTrust lets the client register the machines that have no host.
const benchTrust = fastProbe + openRegistration

// addNetworks gives a host addresses in the networks of the absent machines.
func addNetworks(h *harness, host *lab.Host, last string) {
	h.Helper()
	for _, p := range []string{"10.80.0." + last + "/16", "fd80::" + last + "/64"} {
		h.must(host.AddAddr(h.within(benchTimeout), netip.MustParsePrefix(p)))
	}
}

// registerAbsent registers count machines, and waits until all are claimed.
func registerAbsent(h *harness, count int) []absentMachine {
	h.Helper()
	addNetworks(h, h.lan.Porter(), "2")
	n := h.daemon.Log.Len()
	ctx := h.within(30 * time.Second)
	var group errgroup.Group
	group.SetLimit(12) // one source may hold 16 connections
	var all []absentMachine
	for i := range count {
		m := absentMachineAt(i)
		all = append(all, m)
		group.Go(func() error {
			return registerMachine(ctx, h, h.lan.Client(), fmt.Sprintf("machine%d", i), m.mac, m.ip4, m.ip6)
		})
	}
	h.must(group.Wait())
	waitAllMoved(h, n, "asleep", count)
	return all
}

// processorTime returns the processor time that the daemon has used.
func processorTime(h *harness) time.Duration {
	h.Helper()
	const sched = 2 // CPUCLOCK_SCHED: the clock that clock_getcpuclockid(3) returns
	var t unix.Timespec
	h.must(unix.ClockGettime(int32(^h.daemon.Pid()<<3|sched), &t))
	return time.Duration(t.Nano())
}

// waitIdle waits until the daemon has announced its claims: the announcements are at most
// four seconds apart.
func waitIdle(h *harness) {
	h.Helper()
	const (
		pause  = 4500 * time.Millisecond
		little = 5 * time.Millisecond // of processor time; a thousand announcements take more
	)
	used, since := processorTime(h), time.Now()
	for deadline := time.Now().Add(30 * time.Second); time.Since(since) < pause; time.Sleep(100 * pollInterval) {
		if now := processorTime(h); now-used > little {
			used, since = now, time.Now()
		}
		if time.Now().After(deadline) {
			h.Fatal("the daemon is still busy 30 s after the claims")
		}
	}
}
