package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
	"nightporter/internal/waittest"
)

// waitSuppressed waits for the log line of a knock that does not wake for a reason.
func waitSuppressed(h *harness, n int, reason string) labdaemon.Entry {
	h.Helper()
	e, err := h.daemon.Log.Wait(h.within(20*time.Second), n, func(e labdaemon.Entry) bool {
		return e.Field("event") == "suppressed" && e.Field("machine") == "nas" && e.Field("reason") == reason
	})
	if err != nil {
		h.Fatalf("no knock that does not wake by %s: %v", reason, err)
	}
	return e
}

// wantSuppressed expects a number of suppressed knocks of one reason and none of the others.
// None of them is held.
func wantSuppressed(h *harness, reason string, want, held float64) {
	h.Helper()
	for _, why := range machine.Suppressions {
		n := 0.0
		if why.String() == reason {
			n = want
		}
		h.wantMetric(n, `nightporter_knocks_suppressed_total{machine="nas", reason="%s"}`, why)
	}
	h.wantMetric(held, `nightporter_held_packets_total{machine="nas"}`)
	h.wantMetric(0, `nightporter_held_packets_dropped_total{machine="nas"}`)
}

// TestMinKnocks: the first SYN of a scan does not wake. A client's kernel repeats its SYN until
// it counts.
func TestMinKnocks(t *testing.T) {
	t.Parallel()
	for _, ip := range []netip.Addr{nas4, nas6} {
		t.Run(ip.String(), func(t *testing.T) {
			h := open(t, fastProbe+"wake: {min_knocks: 2}\n")
			nas := h.addNAS(nil)
			h.putToSleep(nas)
			wantSuppressed(h, "", 0, 0)
			n := h.daemon.Log.Len()
			client, porter := h.lan.Client(), h.lan.Porter()
			const syn = 2
			scanner := netip.MustParseAddrPort("10.77.0.66:40001")
			h.must(client.SendFrame(lantest.SegmentFrame(client.MAC(), porter.MAC(), scanner, netip.AddrPortFrom(nas4, 22), syn)))
			scan := waitSuppressed(h, n, "wake.min_knocks")
			if source, _, _ := cutKnock(scan.Field("knock")); source != scanner {
				t.Errorf("the log says that %q does not wake, want %v", scan.Field("knock"), scanner)
			}
			wantSuppressed(h, "min_knocks", 1, 0)

			if got := h.connect(client, ip, 22); got != lab.Banner("nas") {
				t.Errorf("the service said %q", got)
			}
			began := h.waitMove(n, "nas", "asleep", "waking", machine.WhyKnock)
			if source, _, _ := cutKnock(began.Field("knock")); source.Addr() != clientAddr(client, ip) {
				t.Errorf("woken by %q", began.Field("knock"))
			}
			wantSuppressed(h, "min_knocks", 2, 1)
			h.wantMetric(1, `nightporter_replayed_packets_total{machine="nas"}`)
			h.wantMetric(1, `nightporter_machine_wakes_total{machine="nas", trigger="tcp"}`)
		})
	}
}

// TestQuietHours: no knock wakes, and a requested wake does.
func TestQuietHours(t *testing.T) {
	h := open(t, fastProbe+quietAlways)
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	knockSuppressed(h, nas).cancel()
	status, answer, err := h.daemon.Post(h.ctx, "/api/v1/machines/nas/wake")
	if err != nil || status >= 300 {
		t.Fatalf("asked for: %d %q, %v", status, answer, err)
	}
	h.waitMove(0, "nas", "asleep", "waking", machine.WhyRequested)
	waitServiceUp(h, nas, netip.AddrPortFrom(nas4, 22))
	h.connect(h.lan.Client(), nas4, 22)
}

// TestQuietHoursEnd: a client that keeps trying is served at the end of the quiet hours.
func TestQuietHoursEnd(t *testing.T) {
	h := open(t, fastProbe+quietAlways)
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	n := h.daemon.Log.Len()
	waits := knockSuppressed(h, nas)
	h.reload(fastProbe, "configuration reloaded")
	h.must(<-waits.done)
	h.waitMove(n, "nas", "asleep", "waking", machine.WhyKnock)
	h.waitMove(n, "nas", "arriving", "awake", machine.WhyReady)
	h.wantMetric(1, `nightporter_replayed_packets_total{machine="nas"}`)
}

const quietAlways = `wake: {quiet_hours: "00:00-24:00"}` + "\n"

// knockSuppressed lets a client knock by TCP, which keeps trying, and by UDP. Neither wakes.
func knockSuppressed(h *harness, nas *lab.Machine) *attempt {
	h.Helper()
	n := h.daemon.Log.Len()
	waits := h.startConnecting(h.lan.Client(), nas4, 22)
	waitSuppressed(h, n, "wake.quiet_hours")
	sendDatagrams(h, dialGame(h, h.lan.Client(), nas6), "hello")
	waitMetric(h, 2, `nightporter_knocks_suppressed_total{machine="nas", reason="quiet_hours"}`)
	if happened(nas, lab.MagicPacket) {
		h.Error("a knock woke it")
	}
	h.wantMetric(0, `nightporter_held_packets_total{machine="nas"}`)
	return waits
}

// waitMetric waits until a series has at least a value.
func waitMetric(h *harness, least float64, series string) {
	h.Helper()
	waittest.UntilWithin(h, 10*time.Second, fmt.Sprintf("%s is at least %v", series, least), func() bool {
		return h.metric("%s", series) >= least
	})
}

// TestCooldown: datagrams that continue after the sleep do not wake. A new connection does at
// once.
func TestCooldown(t *testing.T) {
	h := open(t, fastProbe+"wake: {cooldown: 1m}\n")
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	n := h.daemon.Log.Len()
	sendDatagrams(h, dialGame(h, h.lan.Client(), nas4), "going on")
	waitSuppressed(h, n, "wake.cooldown")
	wantSuppressed(h, "cooldown", 1, 0)
	h.connect(h.lan.Client(), nas4, 22)
	began := h.waitMove(n, "nas", "asleep", "waking", machine.WhyKnock)
	if _, service, _ := cutKnock(began.Field("knock")); service != netip.AddrPortFrom(nas4, 22).String()+"/tcp" {
		t.Errorf("woken by %q", began.Field("knock"))
	}
	h.waitMove(n, "nas", "arriving", "awake", machine.WhyReady)
	wantSuppressed(h, "cooldown", 1, 1)
	texts := datagrams(nas)
	if len(texts) != 0 {
		t.Errorf("the machine got %q, which did not wake it", texts)
	}
}
