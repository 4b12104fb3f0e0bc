package e2e

import (
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
)

const bindMode = fastProbe + "claim: {mode: bind}\n"

// porterAddresses returns the sorted addresses of the porter's interface.
func porterAddresses(h *harness) []string {
	h.Helper()
	all, err := h.lan.Porter().AddrsNow()
	h.must(err)
	var texts []string
	for _, p := range all {
		texts = append(texts, p.String())
	}
	slices.Sort(texts)
	return texts
}

// waitPorterAddresses waits until the porter's interface has exactly these addresses.
func waitPorterAddresses(h *harness, want []string) {
	h.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		got := porterAddresses(h)
		diff := cmp.Diff(want, got)
		if diff == "" {
			return
		}
		if time.Now().After(deadline) {
			h.Fatalf("addresses (-want +got):\n%s", diff)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// withSorted returns a list with more elements, sorted.
func withSorted(list []string, more ...string) []string {
	all := slices.Concat(list, more)
	slices.Sort(all)
	return all
}

// addForeignAddresses adds addresses to the porter's interface that look like claims and are
// none of the daemon's. It returns all addresses of the interface.
func addForeignAddresses(h *harness) []string {
	h.Helper()
	for _, p := range []string{"10.77.0.77/32", "fd77::77/128"} {
		h.must(h.lan.Porter().AddAddr(h.ctx, netip.MustParsePrefix(p)))
	}
	return porterAddresses(h)
}

// TestBindModeAddsAndRemoves: the kernel has the addresses of a machine while it sleeps.
func TestBindModeAddsAndRemoves(t *testing.T) {
	h := open(t, bindMode)
	nas := h.addNAS(nil)
	before := addForeignAddresses(h)
	claimed := withSorted(before, "10.77.0.20/32", "fd77::20/128")
	h.putToSleep(nas)
	waitPorterAddresses(h, claimed)
	h.call(h.lan.Client(), nas, nas4, 22)
	waitPorterAddresses(h, before)
	h.putToSleep(nas)
	waitPorterAddresses(h, claimed)
	_, err := h.daemon.Stop(h.within(10 * time.Second))
	h.must(err)
	if diff := cmp.Diff(before, porterAddresses(h)); diff != "" {
		t.Errorf("addresses after the exit (-want +got):\n%s", diff)
	}
	if tables := ruleset(h); len(tables) != 0 {
		t.Errorf("tables after the exit: %v", tables)
	}
}

// TestBindModeAfterACrash: the next run removes exactly the addresses that the killed run left.
func TestBindModeAfterACrash(t *testing.T) {
	t.Parallel()
	for _, next := range []struct{ name, conf string }{{"bind", bindMode}, {"responder", fastProbe}} {
		t.Run("then "+next.name, func(t *testing.T) {
			h := open(t, bindMode)
			nas := h.addNAS(nil)
			before := addForeignAddresses(h)
			claimed := withSorted(before, "10.77.0.20/32", "fd77::20/128")
			h.putToSleep(nas)
			waitPorterAddresses(h, claimed)
			h.daemon.Kill()
			if diff := cmp.Diff(claimed, porterAddresses(h)); diff != "" {
				t.Fatalf("the crash left no claimed addresses, so the test checks nothing (-want +got):\n%s", diff)
			}
			d, err := labdaemon.Start(h.ctx, h.lan, t.TempDir(), labdaemon.Options{Exe: os.Args[0], Env: programEnv, Config: next.conf})
			h.must(err)
			h.daemon = d
			t.Cleanup(d.Kill)
			if diff := cmp.Diff(before, porterAddresses(h)); diff != "" {
				t.Errorf("addresses after the next start (-want +got):\n%s", diff)
			}
			h.must(nas.PowerOn())
			h.waitEvent(nas, lab.NetworkUp)
			if happened(nas, lab.DADFailed) {
				t.Error("duplicate address detection failed")
			}
			h.putToSleep(nas)
			h.call(h.lan.Client(), nas, nas6, 22)
			_, err = h.daemon.Stop(h.within(10 * time.Second))
			h.must(err)
			if diff := cmp.Diff(before, porterAddresses(h)); diff != "" {
				t.Errorf("addresses after the exit (-want +got):\n%s", diff)
			}
			if tables := ruleset(h); len(tables) != 0 {
				t.Errorf("tables after the exit: %v", tables)
			}
		})
	}
}
