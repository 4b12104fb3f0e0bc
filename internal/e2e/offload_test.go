package e2e

import (
	"net/netip"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// ordinary is the longest time of a claim if it is known that only the card answers: 3 s
// without a frame from the operating system.
const ordinary = 3500 * time.Millisecond

const (
	hasty      = "probe: {interval: 100ms, timeout: 1s}\n" // probe.timeout is a second
	overridden = hasty + "claim: {override_offload: true}\n"
)

// addOffloading adds a machine whose network card answers while it sleeps, and ignores the
// first round of magic packets.
func addOffloading(h *harness) *lab.Machine {
	h.Helper()
	return h.addNAS(func(c *lab.MachineConfig) { c.AnswersARPAsleep, c.IgnoreMagic = true, 3 })
}

// sleepBehindCard lets m sleep until it is claimed although its card answers, and returns the
// time that took.
func sleepBehindCard(h *harness, m *lab.Machine) time.Duration {
	h.Helper()
	n := h.daemon.Log.Len()
	h.register(m.Host, nasRegistration(m))
	h.must(m.Sleep(h.ctx))
	return h.waitMove(n, m.Name(), "settling", "asleep", machine.WhyOnlyNIC).Duration("after")
}

// TestOnlyTheCardAnswers: a machine whose card answers is not claimed, and the log has the
// remedy.
func TestOnlyTheCardAnswers(t *testing.T) {
	h := open(t, hasty)
	nas := addOffloading(h)
	h.register(nas.Host, nasRegistration(nas))
	h.must(nas.Sleep(h.ctx))
	e := h.waitMove(0, "nas", "settling", "awake", machine.WhyOnlyNIC)
	if e.Level != "WARN" || !contains(e.Field("remedy"), "-ArpOffload Disabled -NSOffload Disabled", "claim.override_offload: true") {
		t.Errorf("logged as %s with the remedy %q", e.Level, e.Field("remedy"))
	}
	h.wantMetric(1, `nightporter_machine_state{machine="nas", state="awake"}`)
	h.wantMetric(1, `nightporter_machine_settle_timeouts_total{machine="nas"}`)
	h.wantMetric(0, `nightporter_machine_sleep_seconds_total{machine="nas"}`)
	out, err := h.runOn(h.lan.Porter(), "events")
	h.must(err)
	if !contains(out, "nas ", "awake: only the network card or management firmware answers") {
		t.Errorf("events tells\n%s", out)
	}
	for _, ip := range []netip.Addr{nas4, nas6} {
		h.wantNeighbor(h.lan.Client(), ip, nas.MAC())
	}
	if magic := magicPackets(nas); len(magic) > 0 || happened(nas, lab.PoweredOn) {
		t.Errorf("magic packets %v, powered on: %t", magic, happened(nas, lab.PoweredOn))
	}

	// The porter uses what it has learned when the operator overrides it.
	h.reload(overridden+"registration: {trust: open}\n", "configuration reloaded")
	n := h.daemon.Log.Len()
	h.register(h.lan.Client(), nasRegistration(nas))
	if took := h.waitMove(n, "nas", "settling", "asleep", machine.WhyOnlyNIC).Duration("after"); took > ordinary {
		t.Errorf("claimed after %v", took)
	}
}

// TestCardIsOverridden: the machine is claimed, stays claimed whatever its card answers, and is
// woken by the first connection, with or without a neighbor entry at the client. Later sleeps
// are claimed as fast as others, also after a restart.
func TestCardIsOverridden(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name           string
		cold, warm     netip.Addr
		again, restart bool
	}{
		{name: "cold over IPv4, warm over IPv6", cold: nas4, warm: nas6},
		{name: "cold over IPv6, warm over IPv4", cold: nas6, warm: nas4, restart: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t, overridden+"wake: {interval: 500ms}\n")
			nas, client := addOffloading(h), h.lan.Client()
			if took := sleepBehindCard(h, nas); took < 3*time.Second {
				t.Errorf("claimed after %v, before the porter could know that only the card answers", took)
			}
			wantCardIgnored(h, nas)
			wantCorrected(h, nas, c.cold)
			h.must(client.ForgetNeighbor(c.cold))
			wantServedBehindCard(h, nas, c.cold)

			h.must(client.WarmNeighbor(h.within(5*time.Second), c.warm))
			h.waitNeighbor(client, c.warm, nas.MAC())
			if took := sleepBehindCard(h, nas); took > ordinary {
				t.Errorf("claimed after %v, though its card is known", took)
			}
			h.waitNeighbor(client, c.warm, h.lan.Porter().MAC())
			if c.restart {
				h.waitStored("asleep", 2)
				h.daemon.Kill()
				h.restart(overridden + "wake: {interval: 500ms}\n")
				h.waitMove(0, "nas", "settling", "asleep", machine.WhyOnlyNIC)
				h.waitNeighbor(client, c.warm, h.lan.Porter().MAC())
			}
			wantServedBehindCard(h, nas, c.warm)
		})
	}
}

// wantCardIgnored waits until the card has answered the announcements of the claim, and expects
// no effect.
func wantCardIgnored(h *harness, nas *lab.Machine) {
	h.Helper()
	n := h.daemon.Log.Len()
	capture := h.capturePort(h.lan.Porter())
	seen := 0
	_, err := capture.Wait(h.within(10*time.Second), func(f lab.Frame) bool {
		var p lan.Packet
		if !f.Outgoing && p.Parse(f.Data) == lan.Accepted && p.Kind == lan.ARPReply && p.Src == nas.MAC() {
			seen++
		}
		return seen == 2
	})
	h.must(err)
	if _, err := h.daemon.Log.Wait(h.within(300*time.Millisecond), n, labdaemon.Moved("nas", "", "settling", "")); err == nil {
		h.Error("the card's answers count as the machine's")
	}
}

// wantCorrected gives the client the card's MAC, and lets it broadcast a request. The card
// answers too, so the porter sends the client a correction.
func wantCorrected(h *harness, nas *lab.Machine, ip netip.Addr) {
	h.Helper()
	client, porter := h.lan.Client(), h.lan.Porter()
	capture := h.capturePort(client)
	h.must(client.SetNeighbor(ip, nas.MAC()))
	question, err := lan.NeighborProbe(client.MAC(), ether.Broadcast, clientAddr(client, ip), ip)
	h.must(err)
	h.must(client.SendFrame(question))
	_, err = capture.Wait(h.within(3*time.Second), func(f lab.Frame) bool {
		var p lan.Packet
		unasked := p.Parse(f.Data) == lan.Accepted && !p.Solicited && (p.Kind == lan.NeighborAdvertisement || p.From == p.To)
		return unasked && f.Dst() == client.MAC() && isClaim(f, porter.MAC(), ip)
	})
	h.must(err)
	h.waitNeighbor(client, ip, porter.MAC())
}

// wantServedBehindCard connects to a machine that sleeps behind its card.
func wantServedBehindCard(h *harness, nas *lab.Machine, ip netip.Addr) {
	h.Helper()
	n := h.daemon.Log.Len()
	if got := h.connect(h.lan.Client(), ip, 22); got != lab.Banner("nas") {
		h.Errorf("the service said %q", got)
	}
	h.waitMove(n, "nas", "asleep", "waking", machine.WhyKnock)
	arrived := h.waitMove(n, "nas", "waking", "arriving", machine.WhyArrived)
	for _, e := range nas.Log() {
		if e.Kind == lab.PoweredOn && arrived.Time.Before(e.Time) {
			h.Errorf("taken for arrived %v before it had power", e.Time.Sub(arrived.Time))
		}
	}
	h.waitMove(n, "nas", "arriving", "awake", machine.WhyReady)
}

// TestDatagramsToAMachineBehindItsCard: an answer of the address does not make the service
// ready.
func TestDatagramsToAMachineBehindItsCard(t *testing.T) {
	h := open(t, overridden+"wake: {interval: 500ms}\n")
	nas, client := addOffloading(h), h.lan.Client()
	h.must(client.WarmNeighbor(h.within(5*time.Second), nas4))
	sleepBehindCard(h, nas)
	h.waitNeighbor(client, nas4, h.lan.Porter().MAC())
	game := dialGame(h, client, nas4)
	n := h.daemon.Log.Len()
	sendDatagrams(h, game, "one", "two")
	waitDatagram(h, nas, "two")
	h.waitMove(n, "nas", "arriving", "awake", machine.WhyReady)
	if got := datagrams(nas); len(got) != 2 {
		t.Errorf("got %q, want both datagrams once", got)
	}
}

// TestIdleMachineIsNotOverridden: a machine that answers pings and TCP is awake, although it
// sends nothing unprompted.
func TestIdleMachineIsNotOverridden(t *testing.T) {
	h := open(t, overridden)
	nas := h.addNAS(func(c *lab.MachineConfig) { c.AnswersARPAsleep = true })
	h.register(nas.Host, nasRegistration(nas))
	h.waitMove(0, "nas", "settling", "awake", machine.WhyNeverSilent)
	if _, err := h.daemon.Log.Wait(h.within(time.Millisecond), 0, labdaemon.Moved("nas", "", "asleep", "")); err == nil {
		t.Error("it was claimed")
	}
}
