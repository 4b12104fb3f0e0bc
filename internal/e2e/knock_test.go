package e2e

import (
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/lantest"
	"nightporter/internal/machine"
)

// TestOnlyKnocksWake: packets that are no knock do not wake. The log names the first knock.
func TestOnlyKnocksWake(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	client, porter := h.lan.Client(), h.lan.Porter()
	h.register(nas.Host, registration("nas", nas.MAC(), monitored{nas4, []any{"22/tcp", "27015/udp"}}, monitored{nas6, []any{}}))
	h.must(nas.Sleep(h.ctx))
	h.waitMove(0, "nas", "settling", "asleep", machine.WhySilent)
	n := h.daemon.Log.Len()

	const fin, syn, rst, psh, ack = 1, 2, 4, 8, 16
	from := netip.AddrPortFrom(client.Addr4(), 40001)
	send := func(to netip.Addr, port uint16, flags byte) {
		h.must(client.SendFrame(lantest.SegmentFrame(client.MAC(), porter.MAC(), from, netip.AddrPortFrom(to, port), flags)))
	}
	for _, flags := range []byte{syn | ack, rst, rst | ack, ack, ack | psh, fin | ack, syn | fin, syn | rst} {
		send(nas4, 22, flags)
	}
	send(nas4, 23, syn)                            // another port
	send(nas4, 22, 0)                              // UDP to a TCP port
	send(nas4, 27015, syn)                         // TCP to a UDP port
	send(porter.Addr4(), 22, syn)                  // the porter's own
	refused := h.startConnecting(client, nas6, 22) // claimed, but without a service
	defer refused.cancel()

	knock := netip.AddrPortFrom(client.Addr4(), 40002)
	h.must(client.SendFrame(lantest.SegmentFrame(client.MAC(), porter.MAC(), knock, netip.AddrPortFrom(nas4, 22), syn)))
	e := h.waitMove(n, "nas", "", "waking", "")
	if want := knock.String() + " -> 10.77.0.20:22/tcp"; e.Field("knock") != want {
		t.Errorf("woken by %q, want %q", e.Field("knock"), want)
	}
	h.wantMetric(1, `nightporter_machine_wakes_total{machine="nas", trigger="tcp"}`)
	h.wantMetric(0, `nightporter_machine_wakes_total{machine="nas", trigger="udp"}`)
	h.wantMetric(0, `nightporter_machine_wakes_total{machine="nas", trigger="icmp"}`)
}

// TestWakeFrom: only the sources in wake.from wake, and of them those in the machine's own
// wake_from.
func TestWakeFrom(t *testing.T) {
	h := open(t, fastProbe+"wake: {from: [10.77.0.10, 10.78.0.0/24]}\n")
	nas := h.addNAS(nil)
	other, err := h.lan.AddHost("other", netip.MustParsePrefix("10.77.0.66/24"))
	h.must(err)
	register := func(wakeFrom string) {
		t.Helper()
		n := h.daemon.Log.Len()
		h.register(nas.Host, `{"mac":"`+nas.MAC().String()+`","name":"nas"`+wakeFrom+`,"monitor":[{"ip":"10.77.0.20","port":[22]}]}`)
		h.must(nas.Sleep(h.ctx))
		h.waitMove(n, "nas", "settling", "asleep", machine.WhySilent)
	}
	wokenBy := func(strangers []*lab.Host, friend *lab.Host) {
		t.Helper()
		n := h.daemon.Log.Len()
		for _, s := range strangers {
			conn := h.startConnecting(s, nas4, 22)
			defer conn.cancel()
			h.waitNeighbor(s, nas4, h.lan.Porter().MAC()) // its SYN is sent
		}
		h.connect(friend, nas4, 22)
		e := h.waitMove(n, "nas", "asleep", "waking", machine.WhyKnock)
		if source, _, _ := cutKnock(e.Field("knock")); source.Addr() != friend.Addr4() {
			t.Errorf("woken by %q, want %v", e.Field("knock"), friend.Addr4())
		}
		h.waitMove(n, "nas", "arriving", "awake", machine.WhyReady)
	}
	register("")
	wokenBy([]*lab.Host{other}, h.lan.Client())
	register(`,"wake_from":["10.77.0.66","10.78.0.2"]`)
	wokenBy([]*lab.Host{h.lan.Client(), other}, h.lan.Outside())
}

// TestHoldoff: wake.holdoff delays the first magic packet, not the wake.
func TestHoldoff(t *testing.T) {
	h := open(t, fastProbe+"wake: {holdoff: 1500ms}\n")
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	conn := h.startConnecting(h.lan.Client(), nas4, 22)
	defer conn.cancel()
	asleep := h.waitMove(0, "nas", "settling", "asleep", machine.WhySilent)
	h.waitMove(0, "nas", "asleep", "waking", machine.WhyKnock)
	magic := h.waitEvent(nas, lab.MagicPacket)
	if after := magic.Time.Sub(asleep.Time); after < 1500*time.Millisecond {
		t.Errorf("the magic packet came %v after the claim, want 1.5 s", after)
	}
	h.wantMetric(0, `nightporter_wake_latency_seconds_count`) // wake.holdoff does not count
}

// TestPostponedWakeStillNamesItsKnock: a late frame postpones a wake. The log names the same
// knock again.
func TestPostponedWakeStillNamesItsKnock(t *testing.T) {
	h := open(t, fastProbe+"wake: {holdoff: 10s}\n")
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	conn := h.startConnecting(h.lan.Client(), nas4, 22)
	defer conn.cancel()
	first := h.waitMove(0, "nas", "asleep", "waking", machine.WhyKnock)
	n := h.daemon.Log.Len()
	h.must(nas.LateFrame())
	h.waitMove(n, "nas", "waking", "settling", machine.WhySpoke)
	if again := h.waitMove(n, "nas", "asleep", "waking", machine.WhyKnock); again.Field("knock") != first.Field("knock") {
		t.Errorf("woken by %q, want %q", again.Field("knock"), first.Field("knock"))
	}
	h.wantMetric(1, `nightporter_machine_wakes_total{machine="nas", trigger="tcp"}`)
}
