package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightporter/internal/labdaemon"
	"nightporter/internal/machine"
	"nightporter/internal/waittest"
)

// TestLocalProgramsDoNotWake: programs on the porter's own host, such as a monitor, do not wake
// a machine. After another client woke it they are connected at once, whatever the kernel's
// neighbor entry was.
func TestLocalProgramsDoNotWake(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		for _, ip := range []netip.Addr{nas4, nas6} {
			t.Run(mode.name+"/"+ip.String(), func(t *testing.T) {
				h := open(t, fastProbe+mode.conf)
				nas, porter := h.addNAS(nil), h.lan.Porter()
				h.putToSleep(nas)
				// The kernel's neighbor entry from before the sleep would stay valid for some
				// seconds.
				h.must(porter.ForgetNeighbor(ip))
				// Longer than a SYN and the next, or until the kernel reports the host
				// unreachable.
				ctx, cancel := context.WithTimeout(h.ctx, 1500*time.Millisecond)
				defer cancel()
				if c, err := callOnce(ctx, porter, netip.AddrPortFrom(ip, 22)); err == nil {
					c.conn.Close()
					t.Fatalf("connected to a sleeping machine: %q", c.banner)
				}
				if n := nas.MagicCount(); n != 0 {
					t.Errorf("%d magic packets for a local program", n)
				}
				h.wantMetric(1, `nightporter_machine_state{machine="nas", state="asleep"}`)

				h.call(h.lan.Client(), nas, ip, 22)
				began := time.Now()
				h.call(porter, nas, ip, 22)
				if took := time.Since(began); took > time.Second {
					t.Errorf("a local program was connected %v after the machine was woken", took)
				}
			})
		}
	}
}

// TestLocalProgramsWake: with wake.local programs of the porter's host wake a machine, and are
// served like other clients.
func TestLocalProgramsWake(t *testing.T) {
	t.Parallel()
	for _, ip := range []netip.Addr{nas4, nas6} {
		t.Run(ip.String(), func(t *testing.T) {
			h := open(t, fastProbe+"wake: {local: true}\n")
			nas, porter := addSlowNAS(h, 800*time.Millisecond), h.lan.Porter()
			h.putToSleep(nas)
			n := h.daemon.Log.Len()
			atPorter, atMachine := h.capturePort(porter), h.capturePort(nas.Host)
			c := h.call(porter, nas, ip, 22)
			began := h.waitMove(n, "nas", "asleep", "waking", machine.WhyKnock)
			if source, _, _ := cutKnock(began.Field("knock")); source.Addr() != clientAddr(porter, ip) {
				t.Errorf("the log says %q knocked, want %v", began.Field("knock"), clientAddr(porter, ip))
			}
			s, err := readServed(h.ctx, h, c, atPorter, atMachine)
			h.must(err)
			if err := s.replayed(porter); err != nil {
				t.Error(err)
			}
			wantEcho(h, c.conn, 1<<10)
			h.waitMove(n, "nas", "arriving", "awake", machine.WhyReady)
			waitNotPinned(h, ip)
			h.wantMetric(1, `nightporter_machine_wakes_total{machine="nas", trigger="tcp"}`)
			// A client of the LAN is served too.
			h.call(h.lan.Client(), nas, ip, 22)
		})
	}
}

// waitNotPinned waits until the porter's kernel has no permanent entry for ip.
func waitNotPinned(h *harness, ip netip.Addr) {
	h.Helper()
	waittest.Until(h, fmt.Sprintf("the porter's kernel has no permanent entry for %v", ip), func() bool { return !isPinned(h, ip) })
}

func isPinned(h *harness, ip netip.Addr) bool {
	h.Helper()
	_, state, _, err := h.lan.Porter().Neighbor(ip)
	h.must(err)
	return state&unix.NUD_PERMANENT != 0
}

// TestLocalPinsAfterACrash: the next run removes the neighbor entries for local packets, with
// or without wake.local.
func TestLocalPinsAfterACrash(t *testing.T) {
	t.Parallel()
	for _, conf := range []string{fastProbe, fastProbe + "wake: {local: true}\n"} {
		t.Run("", func(t *testing.T) {
			h := open(t, fastProbe+"wake: {local: true}\n")
			nas := h.addNAS(nil)
			h.putToSleep(nas)
			waitPinned(h, 5*time.Second, nas4)
			waitPinned(h, 5*time.Second, nas6)
			h.daemon.Kill()
			if !isPinned(h, nas4) || !isPinned(h, nas6) {
				t.Fatal("the crash left no pinned entry, so the test checks nothing")
			}
			d, err := labdaemon.Start(h.ctx, h.lan, t.TempDir(), labdaemon.Options{Exe: os.Args[0], Env: programEnv, Config: conf})
			h.must(err)
			h.daemon = d
			t.Cleanup(d.Kill)
			if isPinned(h, nas4) || isPinned(h, nas6) {
				t.Error("the entries of the run that crashed are still there")
			}
			h.must(nas.PowerOn())
			waitServiceUp(h, nas, netip.AddrPortFrom(nas4, 22))
			h.call(h.lan.Porter(), nas, nas4, 22)
		})
	}
}
