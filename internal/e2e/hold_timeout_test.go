package e2e

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/machine"
)

// TestServiceThatNeverComesUp: the client gets the machine's own refusal after
// hold.ready_timeout and wake.timeout, and not before.
func TestServiceThatNeverComesUp(t *testing.T) {
	t.Parallel()
	const timeout = 1500 * time.Millisecond
	for _, ip := range []netip.Addr{nas4, nas6} {
		t.Run(ip.String(), func(t *testing.T) {
			h := open(t, fastProbe+"hold: {ready_timeout: 1500ms}\nwake: {timeout: 1500ms}\n")
			nas := h.addNAS(func(c *lab.MachineConfig) {
				c.Announce, c.Boot = true, 900*time.Millisecond // the timeout ends between two retransmissions
				c.Services = c.Services[1:]
			})
			h.putToSleep(nas)
			n := h.daemon.Log.Len()
			capture := h.capturePort(h.lan.Client())
			p := h.callLater(h.lan.Client(), ip, 22)
			arrived := h.waitMove(n, "nas", "waking", "arriving", machine.WhyArrived)
			got := <-p
			took := time.Since(arrived.Time)
			if !errors.Is(got.error, syscall.ECONNREFUSED) {
				t.Fatalf("connected or not: %v, want a refusal", got.error)
			}
			if took < timeout-50*time.Millisecond || took > timeout+800*time.Millisecond {
				t.Errorf("refused %v after the machine came, want hold.ready_timeout (%v)", took, timeout)
			}
			h.waitMove(n, "nas", "arriving", "awake", machine.WhyNotReady)
			reset, err := capture.Wait(h.within(time.Second), func(f lab.Frame) bool { return complaint(f) == "rst" })
			h.must(err)
			if reset.Src() != nas.MAC() {
				t.Errorf("refused by %v, want the machine %v", reset.Src(), nas.MAC())
			}
			h.wantMetric(0, `nightporter_machine_ready_duration_seconds_count{machine="nas"}`)
		})
	}
}

// TestForbiddenSourceNotHeld: packets of a source that may not wake a machine are not held.
func TestForbiddenSourceNotHeld(t *testing.T) {
	h := open(t, fastProbe+"wake: {from: [10.77.0.10, fd77::10]}\n")
	nas := h.addNAS(nil)
	stranger, err := h.lan.AddHost("stranger", netip.MustParsePrefix("10.77.0.66/24"), netip.MustParsePrefix("fd77::66/64"))
	h.must(err)
	h.putToSleep(nas)
	n := h.daemon.Log.Len()
	atPorter := h.capturePort(h.lan.Porter())
	for _, ip := range []netip.Addr{nas4, nas6} {
		sendDatagrams(h, dialGame(h, stranger, ip), "let me in", "please")
		_, err := atPorter.Wait(h.within(5*time.Second), isDatagram(ip, "please"))
		h.must(err)
		sendDatagrams(h, dialGame(h, h.lan.Client(), ip), "good evening")
	}
	h.waitMove(n, "nas", "arriving", "awake", machine.WhyReady)
	for range 2 {
		waitDatagram(h, nas, "good evening")
	}
	game := dialGame(h, stranger, nas4) // an awake machine is reachable by all
	sendDatagrams(h, game, "good morning")
	waitDatagram(h, nas, "good morning")
	for _, e := range nas.Log() {
		if e.Kind == lab.Datagram && (e.Detail == "let me in" || e.Detail == "please") {
			t.Errorf("the stranger's %q was held", e.Detail)
		}
	}
	h.wantMetric(2, `nightporter_held_packets_total{machine="nas"}`)
	h.wantMetric(2, `nightporter_replayed_packets_total{machine="nas"}`)
	h.wantMetric(0, `nightporter_held_packets_dropped_total{machine="nas"}`)
}
