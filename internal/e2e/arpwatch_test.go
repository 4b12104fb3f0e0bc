package e2e

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/promtest"
)

// TestArpwatch: arpwatch sees the sleep of a machine as one change of its address to the
// porter, and one change back.
func TestArpwatch(t *testing.T) {
	promtest.Need(t, "arpwatch")
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			h := openFor(t, fieldProbe+mode.conf, 2*time.Minute)
			nas := h.addNAS(func(c *lab.MachineConfig) { c.Announce, c.ARPProbe = true, true })
			// Without a router arpwatch cannot resolve names, which takes seconds each.
			watcher, err := h.lan.AddHost("watcher", netip.MustParsePrefix("10.77.0.99/28"))
			h.must(err)
			said := runArpwatch(h, watcher, "10.77.0.0/24")
			// arpwatch does not say when it is ready, so the machine sends requests until it is
			// known.
			for deadline := time.Now().Add(10 * time.Second); !strings.Contains(said(), "new station ("+nas4.String()+")"); {
				h.wantNeighbor(nas.Host, h.lan.Client().Addr4(), h.lan.Client().MAC())
				if time.Now().After(deadline) {
					t.Fatalf("arpwatch does not see the machine:\n%s", said())
				}
			}
			h.putToSleep(nas)
			// The announcements of the claim end within 7 s, and so do those of its release.
			sleepUntil(time.Now(), 8*time.Second)
			h.call(h.lan.Client(), nas, nas4, 22)
			sleepUntil(time.Now(), 9*time.Second)
			wantOneChange(h, said())
		})
	}
}

// runArpwatch runs arpwatch on a host until the test ends, and returns a function that reads
// its output. It sends no mail; its reports go to its standard error.
func runArpwatch(h *harness, on *lab.Host, network string) (said func() string) {
	h.Helper()
	known, err := os.Create(filepath.Join(h.TempDir(), "arp.dat")) // arpwatch needs an existing file
	h.must(err)
	h.must(known.Close())
	reports, err := os.Create(filepath.Join(h.TempDir(), "reports"))
	h.must(err)
	cmd := on.Command(h.ctx, "arpwatch", "-d", "-Q", "-i", lab.Interface, "-n", network, "-f", known.Name())
	cmd.Stdout, cmd.Stderr = reports, reports
	h.must(on.Start(cmd))
	h.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
		h.must(reports.Close())
	})
	return func() string {
		text, err := os.ReadFile(reports.Name())
		h.must(err)
		return string(text)
	}
}

var (
	reported = regexp.MustCompile(`(?m)^Subject: (.*) \(([^)]*)\)`)
	remarked = regexp.MustCompile(`(?m)^arpwatch: (.*)$`) // lines of its log only
)

// wantOneChange checks the reports of arpwatch about the machine's IPv4 address.
func wantOneChange(h *harness, said string) {
	h.Helper()
	counts := make(map[string]int)
	for _, m := range reported.FindAllStringSubmatch(said, -1) {
		if m[2] == nas4.String() {
			counts[m[1]]++
		}
	}
	h.Logf("arpwatch reported of %v: %v", nas4, counts)
	if counts["changed ethernet address"] != 1 || counts["flip flop"] > 1 || counts["reused old ethernet address"] > 0 {
		h.Errorf("want one change to the porter, and one flip flop back at most:\n%s", said)
	}
	// "ethernet mismatch": the porter announces, in frames of its own, that the machine has its
	// address back. "bogon 0.0.0.0": the machine probes its address (RFC 5227).
	remarks := make(map[string]int)
	for _, m := range remarked.FindAllStringSubmatch(said, -1) {
		remarks[m[1]]++
	}
	for remark, times := range remarks {
		h.Logf("its log: %d times %q", times, remark)
	}
}
