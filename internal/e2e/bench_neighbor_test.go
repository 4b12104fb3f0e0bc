package e2e

import (
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lan"
)

// BenchmarkNeighborAnswer measures how soon the daemon answers for a claimed address. The
// kernel's figure is its answer for its own address.
func BenchmarkNeighborAnswer(b *testing.B) {
	runPaces(b, "arp", "ndp", benchmarkNeighbor)
}

func benchmarkNeighbor(b *testing.B, f addressFamily, pace samplePace) {
	h := openBench(b, fastProbe)
	addSleepingNAS(h)
	client, porter := h.lan.Client(), h.lan.Porter()
	from, line := openSender(b, client), recordWire(b, porter)
	ask := func(ip netip.Addr) time.Duration {
		q, err := lan.NeighborProbe(client.MAC(), ether.Broadcast, f.own(client), ip)
		h.must(err)
		pace.rest()
		line.skip()
		from.send(q)
		return line.interval(sameFrame(q), neighborAnswer(ip, porter.MAC()))
	}
	for range warmUp {
		ask(f.nas)
		ask(f.own(porter))
	}
	var porterTimes, kernelTimes latencies
	for b.Loop() {
		for range pace.samples {
			porterTimes = append(porterTimes, ask(f.nas))
			kernelTimes = append(kernelTimes, ask(f.own(porter)))
		}
	}
	b.ReportMetric(0, "ns/op")
	porterTimes.report(b, "")
	kernelTimes.report(b, "kernel-")
	b.ReportMetric(micros(porterTimes.percentile(0.5)-kernelTimes.percentile(0.5)), "p50-over-kernel-us")
}

// neighborAnswer matches an ARP reply or an advertisement from a host for ip.
func neighborAnswer(ip netip.Addr, host ether.MAC) matcher {
	return matchPacket(func(p *lan.Packet) bool {
		switch p.Kind {
		case lan.ARPReply:
			return p.Src == host && p.From == ip
		case lan.NeighborAdvertisement:
			return p.Src == host && p.Target == ip
		}
		return false
	})
}
