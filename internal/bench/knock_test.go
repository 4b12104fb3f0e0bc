package bench

import (
	"net/netip"
	"testing"

	"nightporter/internal/lan"
)

const (
	closedPort = 9 // nothing listens there on the porter's own address
	warmUp     = 10
)

// BenchmarkKnockToMagic measures the time from a SYN for a sleeping machine to
// its magic packet, and beside it what the kernel needs to refuse a SYN for a
// closed port of its own.
func BenchmarkKnockToMagic(b *testing.B) {
	eachPace(b, "ipv4", "ipv6", benchmarkKnock)
}

func benchmarkKnock(b *testing.B, f family, pace pace) {
	h := open(b, anyone+"wake: {attempts: 1, interval: 10ms}\n")
	// Each is good for one knock: one that does not wake is tried with growing pauses.
	guests := h.guests(min(crowd, warmUp+pace.samples))
	client, porter := h.lan.Client(), h.lan.Porter()
	h.must(porter.WarmNeighbor(h.within(patience), f.own(client)))
	from, line := sender(b, client), tap(b, porter)
	closed := netip.AddrPortFrom(f.own(porter), closedPort)
	source := netip.AddrPortFrom(f.own(client), 40000)
	refused := syn(client.MAC(), porter.MAC(), source, closed)

	var ours, kernels latencies
	round := func(g guest) {
		knock := syn(client.MAC(), porter.MAC(), source, netip.AddrPortFrom(f.guest(g), port))
		n := h.d.Log.Len()
		pace.rest()
		line.skip()
		from.send(knock)
		ours = append(ours, line.interval(same(knock), magicFor(g.mac)))
		h.moved(n, "asleep", 1) // it does not wake, and is given up

		pace.rest()
		line.skip()
		from.send(refused)
		kernels = append(kernels, line.interval(same(refused), reset(closed, source)))
	}
	for _, g := range guests[:warmUp] {
		round(g)
	}
	ours, kernels = nil, nil
	for b.Loop() {
		for _, g := range guests[warmUp:] {
			round(g)
		}
		guests = guests[:warmUp] // each has had its knock
	}
	b.ReportMetric(0, "ns/op")
	ours.report(b, "")
	kernels.report(b, "kernel-")
}

// reset matches the RST from one port to another.
func reset(from, to netip.AddrPort) matcher {
	return packet(func(p *lan.Packet) bool {
		return p.Kind == lan.TCP && p.Flags&flagRST != 0 &&
			netip.AddrPortFrom(p.From, p.FromPort) == from && netip.AddrPortFrom(p.To, p.ToPort) == to
	})
}
