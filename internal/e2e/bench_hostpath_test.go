package e2e

import (
	"net/netip"
	"runtime"
	"testing"
	"time"
)

const (
	pathPairs    = 100
	roundTrips   = 300 // in a slice; a slice takes some milliseconds, so that a pair has the same conditions
	floodRounds  = 4
	floodPackets = 500 // datagrams; half of net.core.netdev_max_backlog
)

// BenchmarkHostPath measures what the daemon costs the traffic between its own host and other
// hosts. The client exchanges packets in turn with the porter's host and with a host that has
// no daemon. The figures are the ratios of the times. They do not show one cost: while the
// daemon requests timestamps, the kernel stamps each packet in each namespace. That adds at
// most 1 % where no other program (an NTP or DHCP client) requests them.
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

// traffic is one kind of traffic: its name in the figures, and a function that sends one slice
// of it and returns the time.
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
		h.Errorf("the daemon used %v of %v for packets of others", used, elapsed)
	}
}

// pair returns the ratio of the times of two slices. first says which of them is measured
// first.
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
