package e2e

import (
	"net/netip"
	"runtime"
	"testing"
	"time"
)

const (
	pathPairs    = 100
	roundTrips   = 300 // of a slice; it takes some milliseconds, so that a pair sees the same weather
	floodRounds  = 4
	floodPackets = 500 // datagrams; half of net.core.netdev_max_backlog
)

// BenchmarkHostPath measures what the daemon costs the traffic between its own
// host and others, which is none of its business. The client talks in turn to
// the porter's host and to one like it without a daemon; the figures are the
// ratios of the times that they take. What no neighbour can show: the kernel
// stamps every packet in every namespace while the daemon asks for it, which
// adds at most 1 % where nothing else (an NTP or DHCP client) asks anyway.
func BenchmarkHostPath(b *testing.B) {
	b.Run("1", func(b *testing.B) {
		h := openBench(b, fastProbe)
		addNetworks(h, h.lan.Porter(), "2")
		addSleepingNAS(h)
		comparePaths(b, h)
	})
	b.Run("1000", func(b *testing.B) {
		h := openBench(b, benchTrust)
		registerAbsent(h, benchMachines)
		comparePaths(b, h)
	})
}

// traffic is one kind of it: what it is called in the figures, and a slice of
// it, which returns how long it took.
type traffic struct {
	name  string
	v6    bool
	slice func(*trafficPath) time.Duration
}

func kindsOfTraffic() []traffic {
	return []traffic{
		{"tcp", false, (*trafficPath).exchangeTCP},
		{"udp", false, (*trafficPath).exchangeUDP},
		{"flood", false, (*trafficPath).flood},
		{"flood6", true, (*trafficPath).flood},
	}
}

func comparePaths(b *testing.B, h *harness) {
	h.Helper()
	bystander, err := h.lan.AddHost("bystander", netip.MustParsePrefix("10.77.0.3/24"), netip.MustParsePrefix("fd77::3/64"))
	h.must(err)
	addNetworks(h, bystander, "3")
	waitIdle(h)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var elapsed, used time.Duration
	ratios := make(map[string][]float64)
	for b.Loop() {
		for _, kind := range kindsOfTraffic() {
			with, without := openTrafficPath(h, h.lan.Porter(), kind.v6), openTrafficPath(h, bystander, kind.v6)
			kind.slice(with)
			kind.slice(without)
			began, before := time.Now(), processorTime(h)
			for i := range pathPairs {
				ratios[kind.name] = append(ratios[kind.name], pair(kind, with, without, i%2 == 0))
			}
			elapsed, used = elapsed+time.Since(began), used+processorTime(h)-before
			with.close()
			without.close()
		}
	}
	b.ReportMetric(0, "ns/op")
	for name, r := range ratios {
		b.ReportMetric(median(r), name+"-ratio")
	}
	b.ReportMetric(float64(used.Microseconds())/1000/elapsed.Seconds(), "daemon-cpu-ms/s")
	if used > elapsed/100 {
		h.Errorf("the daemon used %v of %v for packets that are none of its business", used, elapsed)
	}
}

// pair returns by how much one slice takes longer than the other. Neither is
// always the first.
func pair(kind traffic, with, without *trafficPath, first bool) float64 {
	var a, b time.Duration
	if first {
		a = kind.slice(with)
	}
	b = kind.slice(without)
	if !first {
		a = kind.slice(with)
	}
	return float64(a) / float64(b)
}
