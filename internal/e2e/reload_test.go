package e2e

import (
	"strings"
	"testing"

	"nightporter/internal/journal"
	"nightporter/internal/lab"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// TestReloadKeepsTheClaim: the configuration of a sleeping machine gets another port and other
// watts. The machine stays claimed, also during a wake, and the replay serves its client.
func TestReloadKeepsTheClaim(t *testing.T) {
	h, nas, conf := openAgentlessAsleep(t)
	client, porter := h.lan.Client(), h.lan.Porter().MAC()
	h.wantNeighbor(client, nas4, porter)
	atClient, atMachine := h.capturePort(client), h.capturePort(nas.Host)

	conf = strings.ReplaceAll(conf, "port: [22,", "port: [22, 445/tcp,")
	h.reload(conf, "configuration reloaded")
	h.wantNeighbor(client, nas4, porter)
	h.wantNeighbor(client, nas6, porter)
	if got := h.events("nas", journal.Asleep); len(got) != 2 { // one from before the start, one of its claim
		t.Errorf("it fell asleep %d times: %+v", len(got), got)
	}

	n := h.daemon.Log.Len()
	waits := h.callLater(client, nas4, 22)
	h.waitMove(n, "nas", "asleep", "waking", machine.WhyKnock)
	h.reload(strings.ReplaceAll(conf, "agentless: true", "agentless: true, idle_watts: 7"), "configuration reloaded")
	c := h.waitCall(waits, nas)
	s, err := readServed(h.ctx, h, c, atClient, atMachine)
	h.must(err)
	if err := s.replayed(h.lan.Porter()); err != nil {
		t.Error(err)
	}
	h.waitMove(n, "nas", "arriving", "awake", machine.WhyReady)
	h.wantMetric(1, `nightporter_machine_wakes_total{machine="nas", trigger="tcp"}`)
	up := h.waitEvent(nas, lab.NetworkUp).Time
	for _, f := range atClient.Frames() {
		var p lan.Packet
		if p.Parse(f.Data) == lan.Accepted && f.Src() == porter && f.Time.Before(up) && p.SenderMAC == nas.MAC() {
			t.Errorf("while the machine slept the porter said at %v that it has %v%v", f.Time, p.From, p.Target)
		}
	}
}
