package e2e

import (
	"net/netip"
	"testing"

	"nightporter/internal/lan"
	"nightporter/internal/lantest"
)

const (
	closedPort = 9 // no program of the porter's host listens there
	warmUp     = 10
)

// BenchmarkKnockToMagic measures the time from a SYN for a sleeping machine to its magic
// packet. The kernel's figure is the time until it refuses a SYN for a closed port of its own.
func BenchmarkKnockToMagic(b *testing.B) {
	runPaces(b, "ipv4", "ipv6", benchmarkKnock)
}

func benchmarkKnock(b *testing.B, f addressFamily, pace samplePace) {
	h := openBench(b, benchTrust+"wake: {attempts: 1, interval: 10ms}\n")
	// Each machine gets one knock: a machine that does not wake is tried again with growing
	// pauses.
	machines := registerAbsent(h, min(benchMachines, warmUp+pace.samples))
	client, porter := h.lan.Client(), h.lan.Porter()
	h.must(porter.WarmNeighbor(h.within(benchTimeout), f.own(client)))
	from, line := openSender(b, client), recordWire(b, porter)
	closed := netip.AddrPortFrom(f.own(porter), closedPort)
	source := netip.AddrPortFrom(f.own(client), 40000)
	refused := lantest.SYNFrame(client.MAC(), porter.MAC(), source, closed)

	var porterTimes, kernelTimes latencies
	round := func(g absentMachine) {
		knock := lantest.SYNFrame(client.MAC(), porter.MAC(), source, netip.AddrPortFrom(f.absent(g), benchPort))
		n := h.daemon.Log.Len()
		pace.rest()
		line.skip()
		from.send(knock)
		porterTimes = append(porterTimes, line.interval(sameFrame(knock), magicFor(g.mac)))
		waitAllMoved(h, n, "asleep", 1) // the wake fails

		pace.rest()
		line.skip()
		from.send(refused)
		kernelTimes = append(kernelTimes, line.interval(sameFrame(refused), resetFrom(closed, source)))
	}
	for _, g := range machines[:warmUp] {
		round(g)
	}
	porterTimes, kernelTimes = nil, nil
	for b.Loop() {
		for _, g := range machines[warmUp:] {
			round(g)
		}
		machines = machines[:warmUp] // each machine has had its knock
	}
	b.ReportMetric(0, "ns/op")
	porterTimes.report(b, "")
	kernelTimes.report(b, "kernel-")
}

// resetFrom matches the RST from one port to another.
func resetFrom(from, to netip.AddrPort) matcher {
	return matchPacket(func(p *lan.Packet) bool {
		return p.Kind == lan.TCP && p.Flags&flagRST != 0 &&
			netip.AddrPortFrom(p.From, p.FromPort) == from && netip.AddrPortFrom(p.To, p.ToPort) == to
	})
}
