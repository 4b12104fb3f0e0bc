package e2e

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
	"nightporter/internal/machine"
)

// agentlessConf returns a configuration that names nas as an agentless machine.
func agentlessConf(mac ether.MAC, addrs ...netip.Addr) string {
	var monitor []string
	for _, ip := range addrs {
		monitor = append(monitor, fmt.Sprintf("{ip: %q, port: [22, 27015/udp, icmp]}", ip))
	}
	return fastProbe + "watch: {interval: 500ms}\n" + fmt.Sprintf("machines: [{name: nas, mac: %q, agentless: true, monitor: [%s]}]\n", mac, strings.Join(monitor, ", "))
}

// openAgentless starts a daemon that knows nas as an agentless machine. The daemon accepts no
// silence as sleep for 30 s after its start.
func openAgentless(t *testing.T) (*harness, *lab.Machine) {
	t.Helper()
	t.Parallel()
	ctx, network := newLANFor(t, 2*time.Minute)
	h := &harness{TB: t, ctx: ctx, lan: network}
	nas := h.addNAS(func(c *lab.MachineConfig) { c.ARPProbe, c.Announce = true, true })
	h = openOn(ctx, t, network, agentlessConf(nas.MAC(), nas4, nas6))
	waitPlaced(h, 0)
	return h, nas
}

// openAgentlessAsleep is openAgentless for a machine that was asleep when an earlier run of the
// daemon ended.
func openAgentlessAsleep(t *testing.T) (*harness, *lab.Machine, string) {
	t.Helper()
	t.Parallel()
	ctx, network := newLAN(t)
	h := &harness{TB: t, ctx: ctx, lan: network}
	nas := h.addNAS(func(c *lab.MachineConfig) { c.ARPProbe, c.Announce = true, true })
	h.must(nas.Sleep(ctx))
	dir, slept := t.TempDir(), time.Now().Add(-time.Second)
	past, _, err := journal.Open(dir, slog.New(slog.DiscardHandler))
	h.must(err)
	mem := machine.Memory{State: machine.Asleep, Since: slept, Spec: machine.Spec{
		Name: "nas", MAC: nas.MAC(), Agentless: true, Monitor: []machine.Address{{IP: nas4}, {IP: nas6}}}}
	past.Append(journal.Record{Memory: &mem, Event: journal.Event{Kind: journal.Asleep, At: slept, Machine: "nas", MAC: nas.MAC()}})
	h.must(past.Close())
	conf := agentlessConf(nas.MAC(), nas4, nas6)
	h = openIn(ctx, t, network, dir, conf)
	h.waitReclaimed("nas")
	return h, nas, conf
}

func waitPlaced(h *harness, n int) {
	h.Helper()
	_, err := h.daemon.Log.Wait(h.within(5*time.Second), n, func(e labdaemon.Entry) bool {
		return e.Field("event") == "placed" && e.Field("machine") == "nas"
	})
	h.must(err)
}

// sleepUnannounced lets nas sleep without a registration, and waits until it is claimed.
func sleepUnannounced(h *harness, nas *lab.Machine) {
	h.Helper()
	n := h.daemon.Log.Len()
	h.must(nas.Sleep(h.ctx))
	_, err := h.daemon.Log.Wait(h.within(40*time.Second), n, labdaemon.Moved("nas", "awake", "settling", "")) // silence soon after a wake may be a flap
	h.must(err)
	h.waitMove(n, "nas", "settling", "asleep", machine.WhySilent)
}

// TestAgentless: all series exist from the start. The machine is claimed after each sleep
// without a registration, and its first connection succeeds.
func TestAgentless(t *testing.T) {
	h, nas := openAgentless(t)
	h.wantMetric(1, `nightporter_machine_state{machine="nas", state="awake"}`)
	h.wantMetric(0, `nightporter_machine_wakes_total{machine="nas", trigger="tcp"}`)
	h.wantMetric(0, `nightporter_machine_boot_duration_seconds_count{machine="nas"}`)
	client := h.lan.Client()
	for i, ip := range []netip.Addr{nas4, nas6} {
		n := h.daemon.Log.Len()
		sleepUnannounced(h, nas)
		h.wantNeighbor(client, ip, h.lan.Porter().MAC())
		if got := h.connect(client, ip, 22); got != lab.Banner("nas") {
			t.Errorf("the service said %q", got)
		}
		h.waitMove(n, "nas", "arriving", "awake", machine.WhyReady)
		h.wantMetric(float64(i+1), `nightporter_machine_wakes_total{machine="nas", trigger="tcp"}`)
		h.waitNeighbor(client, ip, nas.MAC())
	}
	if happened(nas, lab.DADFailed) {
		t.Error("duplicate address detection failed")
	}
	h.wantMetric(0, `nightporter_machine_external_starts_total{machine="nas"}`)
	h.wantMetric(0, `nightporter_machine_settle_timeouts_total{machine="nas"}`)
}

// TestAgentlessExternalStart: the machine's address tests find no conflict, and it ends awake.
func TestAgentlessExternalStart(t *testing.T) {
	h, nas, _ := openAgentlessAsleep(t)
	n := h.daemon.Log.Len()
	h.must(nas.PowerOn())
	h.waitEvent(nas, lab.NetworkUp)
	h.waitMove(n, "nas", "settling", "awake", machine.WhyStarted)
	if happened(nas, lab.DADFailed) {
		t.Error("duplicate address detection failed")
	}
	h.wantMetric(1, `nightporter_machine_external_starts_total{machine="nas"}`)
	h.wantNeighbor(h.lan.Client(), nas4, nas.MAC())
	h.wantNeighbor(h.lan.Client(), nas6, nas.MAC())
}

// TestAgentlessSurvivesKill: the machine is claimed again after the daemon was killed, and it
// wakes.
func TestAgentlessSurvivesKill(t *testing.T) {
	h, nas, conf := openAgentlessAsleep(t)
	h.waitStored("asleep", 2)
	slept := h.metric(`nightporter_machine_sleep_seconds_total{machine="nas"}`)
	h.daemon.Kill()
	h.restart(conf)
	h.waitReclaimed("nas")
	if got := h.metric(`nightporter_machine_sleep_seconds_total{machine="nas"}`); got <= slept {
		t.Errorf("slept %v s before the restart, %v s after it", slept, got)
	}
	if got := h.connect(h.lan.Client(), nas4, 22); got != lab.Banner("nas") {
		t.Errorf("the service said %q", got)
	}
	if happened(nas, lab.DADFailed) {
		t.Error("duplicate address detection failed")
	}
}

// TestIdleAgentlessStaysAwake: the machine sends nothing but its answers to the porter. Each
// request of the porter comes half a second after the last answer.
func TestIdleAgentlessStaysAwake(t *testing.T) {
	h, nas := openAgentless(t)
	capture := h.capturePort(nas.Host)
	questions := 0
	_, err := capture.Wait(h.within(10*time.Second), func(f lab.Frame) bool {
		if isARPRequest(f, h.lan.Porter().Addr4(), nas4) {
			questions++
		}
		return questions == 6
	})
	h.must(err)
	h.wantMetric(1, `nightporter_machine_state{machine="nas", state="awake"}`)
	if text := h.daemon.Log.Text(); strings.Contains(text, string(machine.WhyUnanswered)) {
		t.Errorf("it was taken for silent:\n%s", text)
	}
}

// TestAgentlessAddressBecomesClaimable: an address becomes claimable when the interface gets an
// address in its network. It is released when a reload removes the machine.
func TestAgentlessAddressBecomesClaimable(t *testing.T) {
	t.Parallel()
	ctx, network := newLANFor(t, 2*time.Minute)
	far := netip.MustParseAddr("10.80.0.20")
	nas, err := network.AddMachine(lab.MachineConfig{Name: "nas", Addrs: []netip.Prefix{netip.PrefixFrom(far, 24)}})
	if err != nil {
		t.Fatal(err)
	}
	h := openOn(ctx, t, network, agentlessConf(nas.MAC(), far))
	h.must(nas.Sleep(ctx))
	e, err := h.daemon.Log.Wait(h.within(5*time.Second), 0, func(e labdaemon.Entry) bool { return e.Field("event") == "address_waiting" })
	h.must(err)
	if e.Level != "WARN" || e.Field("ip") != "10.80.0.20" || !contains(e.Field("reason"), "not in a network") {
		t.Errorf("%s: %v", e.Level, e.Fields)
	}
	h.must(h.lan.Porter().AddAddr(ctx, netip.MustParsePrefix("10.80.0.2/24")))
	_, err = h.daemon.Log.Wait(h.within(45*time.Second), 0, labdaemon.Moved("nas", "settling", "asleep", string(machine.WhySilent)))
	h.must(err)

	peer, err := h.lan.AddHost("peer", netip.MustParsePrefix("10.80.0.10/24"))
	h.must(err)
	h.wantNeighbor(peer, far, h.lan.Porter().MAC())
	h.reload(fastProbe, "configuration reloaded")
	h.waitNeighbor(peer, far, nas.MAC())
	if status, _, err := h.daemon.Get(h.ctx, "/api/v1/machines/nas"); err != nil || status != 404 {
		t.Errorf("it is known still: %d, %v", status, err)
	}
}
