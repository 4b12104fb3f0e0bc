package bench

import (
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/machine"
)

const (
	crowd       = 1000
	crowdRounds = 3
	crowdWithin = 10 * time.Second // for the last magic packet; the figure is far below
)

// BenchmarkThousandKnocks wakes a thousand machines with one knock each, sent
// as fast as one host can. It measures the time from the first knock to the
// first magic packet of the last machine.
func BenchmarkThousandKnocks(b *testing.B) {
	h := open(b, anyone+"wake: {attempts: 1, interval: 2s}\n")
	guests := h.guests(crowd)
	client, porter := h.lan.Client(), h.lan.Porter()
	from, line := sender(b, client), tap(b, porter)

	var all latencies
	for b.Loop() {
		for round := range crowdRounds {
			var knocks [][]byte
			for i, g := range guests {
				source := netip.AddrPortFrom(client.Addr4(), uint16(10000+crowd*round+i))
				knocks = append(knocks, syn(client.MAC(), porter.MAC(), source, netip.AddrPortFrom(g.ip4, port)))
			}
			n := h.d.Log.Len()
			line.skip()
			for _, k := range knocks {
				from.send(k)
			}
			all = append(all, line.everyMagic(knocks[0]))
			h.moved(n, "asleep", crowd) // nobody wakes, all are given up
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(millis(all.percentile(0.5)), "p50-ms")
	b.ReportMetric(millis(all.percentile(1)), "max-ms")
	b.ReportMetric(h.resident().total, "rss-MiB")
}

// everyMagic returns the time between a frame and the moment when every machine
// of the crowd has got a magic packet.
func (w *wire) everyMagic(first []byte) time.Duration {
	w.Helper()
	var began time.Time
	woken := make(map[machine.MAC]bool)
	for deadline := time.Now().Add(crowdWithin); time.Now().Before(deadline); time.Sleep(20 * nap) {
		for r := w.next(); r != nil; r = w.next() {
			if began.IsZero() && same(first)(r) {
				began = r.at
			}
			if mac, ok := magicMAC(r.frame); ok && !woken[mac] {
				if woken[mac] = true; len(woken) == crowd {
					return r.at.Sub(began)
				}
			}
		}
	}
	w.missed("%d of %d machines got no magic packet within %v", crowd-len(woken), crowd, crowdWithin)
	return 0
}
