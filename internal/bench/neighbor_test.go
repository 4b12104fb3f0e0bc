package bench

import (
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
)

// BenchmarkNeighborAnswer measures how soon the daemon answers for a claimed
// address, and beside it how soon the kernel answers for its own.
func BenchmarkNeighborAnswer(b *testing.B) {
	eachPace(b, "arp", "ndp", benchmarkNeighbor)
}

func benchmarkNeighbor(b *testing.B, f family, pace pace) {
	h := open(b, brisk)
	h.sleeper()
	client, porter := h.lan.Client(), h.lan.Porter()
	from, line := sender(b, client), tap(b, porter)
	ask := func(ip netip.Addr) time.Duration {
		q, err := lan.NeighborProbe(client.MAC(), ether.Broadcast, f.own(client), ip)
		h.must(err)
		pace.rest()
		line.skip()
		from.send(q)
		return line.interval(same(q), answerAbout(ip, porter.MAC()))
	}
	for range warmUp {
		ask(f.nas)
		ask(f.own(porter))
	}
	var ours, kernels latencies
	for b.Loop() {
		for range pace.samples {
			ours = append(ours, ask(f.nas))
			kernels = append(kernels, ask(f.own(porter)))
		}
	}
	b.ReportMetric(0, "ns/op")
	ours.report(b, "")
	kernels.report(b, "kernel-")
	b.ReportMetric(micros(ours.percentile(0.5)-kernels.percentile(0.5)), "p50-over-kernel-us")
}

// answerAbout matches an ARP reply or an advertisement from a host that says
// where ip is.
func answerAbout(ip netip.Addr, host ether.MAC) matcher {
	return packet(func(p *lan.Packet) bool {
		switch p.Kind {
		case lan.ARPReply:
			return p.Src == host && p.From == ip
		case lan.NeighborAdvertisement:
			return p.Src == host && p.Target == ip
		}
		return false
	})
}
