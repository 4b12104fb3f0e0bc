package e2e

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lantest"
)

const (
	benchMachines = 1000
	knockRounds   = 2 // after two failed wakes the porter delays the next one
	wakingPeriod  = 5 * time.Second
	magicTimeout  = 10 * time.Second // until the last magic packet
)

// BenchmarkThousandKnocks wakes a thousand machines with one knock each, sent
// as fast as one host can. It measures the time from the first knock to the
// first magic packet of the last machine.
func BenchmarkThousandKnocks(b *testing.B) {
	h := openBench(b, benchTrust+"wake: {attempts: 1, interval: 2s}\n")
	machines := registerAbsent(h, benchMachines)
	from, line := openSender(b, h.lan.Client()), recordWire(b, h.lan.Porter())

	var all latencies
	for b.Loop() {
		for round := range knockRounds {
			all = append(all, knockEverywhere(h, machines, round, from, line))
			waitWakesFailed(h, benchMachines)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(millis(all.percentile(0.5)), "p50-ms")
	b.ReportMetric(millis(all.percentile(1)), "max-ms")
	b.ReportMetric(readMemory(h).total, "rss-MiB")
}

// waitWakesFailed waits until the wakes of all machines have failed. The log does not report a
// repeated failure.
func waitWakesFailed(h *harness, want int) {
	h.Helper()
	ctx := h.within(20 * time.Second)
	for asleep := 0; ; time.Sleep(100 * pollInterval) {
		all, err := h.daemon.Metrics(ctx)
		if err != nil {
			h.Fatalf("%d of %d machines became asleep: %v", asleep, want, err)
		}
		asleep = 0
		for series, v := range all {
			if v == 1 && strings.HasPrefix(series, "nightporter_machine_state{") && strings.Contains(series, `"asleep"`) {
				asleep++
			}
		}
		if asleep == want {
			return
		}
	}
}

// BenchmarkThousandWaking measures the load of the daemon after it has sent magic packets to a
// thousand machines that do not wake.
func BenchmarkThousandWaking(b *testing.B) {
	h := openBench(b, benchTrust+"wake: {attempts: 1, interval: 60s}\n")
	machines := registerAbsent(h, benchMachines)
	from, line := openSender(b, h.lan.Client()), recordWire(b, h.lan.Porter())
	knockEverywhere(h, machines, 0, from, line)
	line.close()

	var elapsed, used time.Duration
	for b.Loop() {
		began, before := time.Now(), processorTime(h)
		time.Sleep(wakingPeriod)
		elapsed, used = elapsed+time.Since(began), used+processorTime(h)-before
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(millis(used)/elapsed.Seconds(), "daemon-cpu-ms/s")
	b.ReportMetric(readMemory(h).total, "rss-MiB")
}

// knockEverywhere sends one knock to each machine, and returns the time from the first knock to
// the last machine's magic packet. Each round uses other source ports.
func knockEverywhere(h *harness, machines []absentMachine, round int, from, line *wire) time.Duration {
	h.Helper()
	client, porter := h.lan.Client(), h.lan.Porter()
	var knocks [][]byte
	for i, g := range machines {
		source := netip.AddrPortFrom(client.Addr4(), uint16(10000+benchMachines*round+i))
		knocks = append(knocks, lantest.SYNFrame(client.MAC(), porter.MAC(), source, netip.AddrPortFrom(g.ip4, benchPort)))
	}
	line.skip()
	for _, k := range knocks {
		from.send(k)
	}
	return line.waitAllMagic(knocks[0])
}

// waitAllMagic returns the time from a frame to the moment when each machine has got a magic
// packet.
func (w *wire) waitAllMagic(first []byte) time.Duration {
	w.Helper()
	var began time.Time
	woken := make(map[ether.MAC]bool)
	for deadline := time.Now().Add(magicTimeout); time.Now().Before(deadline); time.Sleep(20 * pollInterval) {
		for r := w.next(); r != nil; r = w.next() {
			if began.IsZero() && sameFrame(first)(r) {
				began = r.at
			}
			if mac, ok := magicMAC(r.frame); ok && !woken[mac] {
				if woken[mac] = true; len(woken) == benchMachines {
					return r.at.Sub(began)
				}
			}
		}
	}
	w.missed("%d of %d machines got no magic packet within %v", benchMachines-len(woken), benchMachines, magicTimeout)
	return 0
}
