package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightporter/internal/lab"
)

// watchPeriod is how long the monitoring of awake machines is measured.
const watchPeriod = 20 * time.Second

// BenchmarkThousandWatched measures the load of the daemon while a thousand machines are awake
// and answer its probes.
func BenchmarkThousandWatched(b *testing.B) {
	for _, count := range []int{0, benchMachines} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			h := openBench(b, strings.TrimPrefix(benchTrust, fastProbe))
			if count > 0 {
				answerARPFor(h, h.lan.Client())
				registerWatched(h, count)
			}
			var elapsed, used time.Duration
			for b.Loop() {
				began, before := time.Now(), processorTime(h)
				time.Sleep(watchPeriod)
				elapsed, used = elapsed+time.Since(began), used+processorTime(h)-before
			}
			if strings.Contains(h.daemon.Log.Text(), `"to":"settling"`) {
				b.Error("machines that answer were doubted")
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(100*used.Seconds()/elapsed.Seconds(), "cpu-%")
		})
	}
}

// answerARPFor lets a host answer ARP requests to the MACs of the absent machines until the
// benchmark ends.
func answerARPFor(h *harness, host *lab.Host) {
	h.Helper()
	c, err := host.Capture(h.ctx)
	h.must(err)
	w := openSender(h.TB, host)
	go func() {
		_, _ = c.Wait(h.ctx, func(f lab.Frame) bool {
			if f := f.Data; len(f) >= 42 && f[0] == 0x02 && f[1] == 0x80 && binary.BigEndian.Uint16(f[12:]) == unix.ETH_P_ARP && f[21] == 1 {
				_ = unix.Send(w.fd, answerARP(f), 0)
			}
			return false
		})
	}()
}

// answerARP answers an ARP request (RFC 826).
func answerARP(request []byte) []byte {
	r := append([]byte(nil), request[6:12]...)
	r = append(append(r, request[0:6]...), request[12:20]...)
	r = append(append(r, 0, 2), request[0:6]...)
	r = append(append(r, request[38:42]...), request[22:28]...)
	return append(r, request[28:32]...)
}

// registerWatched registers machines with watch: true.
func registerWatched(h *harness, count int) {
	h.Helper()
	addNetworks(h, h.lan.Porter(), "2")
	for i := range count {
		g := absentMachineAt(i)
		ctx, cancel := context.WithTimeout(h.ctx, benchTimeout)
		body := fmt.Sprintf(`{"name":"machine%d","mac":%q,"watch":true,"monitor":[{"ip":%q,"port":["%d/tcp"]}]}`, i, g.mac, g.ip4, benchPort)
		answer, err := h.daemon.Register(ctx, h.lan.Client(), body)
		cancel()
		h.must(err)
		if answer != "OK." {
			h.Fatalf("machine %d: %q", i, answer)
		}
	}
}
