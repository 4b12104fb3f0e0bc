package bench

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
)

// BenchmarkMemory measures what the daemon keeps resident while its machines
// sleep and Prometheus has scraped it.
func BenchmarkMemory(b *testing.B) {
	b.Run("1", func(b *testing.B) {
		h := open(b, brisk)
		h.sleeper()
		h.reportMemory()
	})
	b.Run("1000", func(b *testing.B) {
		h := open(b, anyone)
		h.guests(crowd)
		h.reportMemory()
	})
}

func (h *house) reportMemory() {
	h.Helper()
	for h.Loop() {
		for range 3 {
			_, err := h.d.Metrics(h.within(patience))
			h.must(err)
		}
	}
	r := h.resident()
	h.ReportMetric(0, "ns/op")
	h.ReportMetric(r.total, "rss-MiB")
	h.ReportMetric(r.anon, "anon-MiB")
	h.ReportMetric(r.file, "file-MiB")
}

// memory is resident memory in MiB, as /proc/PID/status has it (proc(5)): the
// program's own, and its file as far as it is in use.
type memory struct{ total, anon, file float64 }

func (h *house) resident() (m memory) {
	h.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", h.d.Pid()))
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
