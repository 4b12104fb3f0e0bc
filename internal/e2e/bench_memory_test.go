package e2e

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
)

// BenchmarkMemory measures the resident memory of the daemon while its machines sleep, after
// scrapes by Prometheus.
func BenchmarkMemory(b *testing.B) {
	b.Run("1", func(b *testing.B) {
		h := openBench(b, fastProbe)
		addSleepingNAS(h)
		reportMemory(b, h)
	})
	b.Run("1000", func(b *testing.B) {
		h := openBench(b, benchTrust)
		registerAbsent(h, benchMachines)
		reportMemory(b, h)
	})
}

func reportMemory(b *testing.B, h *harness) {
	h.Helper()
	for b.Loop() {
		for range 3 {
			_, err := h.daemon.Metrics(h.within(benchTimeout))
			h.must(err)
		}
	}
	r := readMemory(h)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(r.total, "rss-MiB")
	b.ReportMetric(r.anon, "anon-MiB")
	b.ReportMetric(r.file, "file-MiB")
}

// processMemory is resident memory in MiB from /proc/PID/status (proc(5)): anonymous memory,
// and the used part of the program file.
type processMemory struct{ total, anon, file float64 }

func readMemory(h *harness) (m processMemory) {
	h.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", h.daemon.Pid()))
	h.must(err)
	defer f.Close()
	found := 0
	for s := bufio.NewScanner(f); s.Scan(); {
		for name, value := range map[string]*float64{"VmRSS": &m.total, "RssAnon": &m.anon, "RssFile": &m.file} {
			if rest, ok := strings.CutPrefix(s.Text(), name+":"); ok {
				_, err := fmt.Sscanf(rest, "%f kB", value)
				h.must(err)
				*value /= 1024
				found++
			}
		}
	}
	if found != 3 {
		h.Fatal("no resident memory in", f.Name())
	}
	return m
}
