package e2e

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/lab"
	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

// TestSlowShutdownIsAwaited: the porter claims a machine only after it is silent.
func TestSlowShutdownIsAwaited(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	h.register(nas.Host, nasRegistration(nas))
	h.must(nas.SleepAfter(1500 * time.Millisecond))
	asleep := h.waitMove(0, "nas", "settling", "asleep", machine.WhySilent)
	if off := h.waitEvent(nas, lab.AsleepNow); asleep.Time.Before(off.Time) {
		t.Errorf("claimed %v before the machine was off", off.Time.Sub(asleep.Time))
	}
}

// TestMachineThatNeverFallsSilent: a machine that does not sleep counts as awake after
// probe.timeout.
func TestMachineThatNeverFallsSilent(t *testing.T) {
	h := open(t, "probe: {interval: 100ms, timeout: 1s}\n")
	nas := h.addNAS(nil)
	h.register(nas.Host, nasRegistration(nas))
	e := h.waitMove(0, "nas", "settling", "awake", machine.WhyNeverSilent)
	if e.Level != "WARN" {
		t.Errorf("logged as %s", e.Level)
	}
	h.wantMetric(1, `nightporter_machine_settle_timeouts_total{machine="nas"}`)
	h.wantMetric(0, `nightporter_machine_sleep_seconds_total{machine="nas"}`)
}

// TestExternalStart: a machine starts without the porter. Its address tests succeed, for IPv6
// and by RFC 5227 for IPv4, and the start is counted. Repeated, because it is a race.
func TestExternalStart(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(func(c *lab.MachineConfig) { c.ARPProbe, c.Announce, c.Boot = true, true, 50*time.Millisecond })
	client := h.lan.Client()
	for round := range 3 {
		n := h.daemon.Log.Len()
		h.putToSleep(nas)
		for _, ip := range []netip.Addr{nas4, nas6} {
			h.must(client.ForgetNeighbor(ip))
			h.must(client.WarmNeighbor(h.within(5*time.Second), ip))
			h.waitNeighbor(client, ip, h.lan.Porter().MAC())
		}
		h.must(nas.PowerOn())
		h.waitMove(n, "nas", "asleep", "settling", machine.WhySpoke)
		h.waitMove(n, "nas", "settling", "awake", machine.WhyStarted)
		if happened(nas, lab.DADFailed) {
			t.Fatalf("round %d: duplicate address detection failed", round)
		}
		h.wantMetric(float64(round+1), `nightporter_machine_external_starts_total{machine="nas"}`)
		h.waitNeighbor(client, nas4, nas.MAC())
		h.waitNeighbor(client, nas6, nas.MAC())
	}
	h.wantMetric(0, `nightporter_machine_wake_attempts_total{machine="nas"}`)
}

// TestLateFrame: a frame of the shutdown after the claim returns the machine to settling, not
// to awake, and its addresses are claimed again.
func TestLateFrame(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	n := h.daemon.Log.Len()
	h.must(nas.LateFrame())
	h.waitMove(n, "nas", "asleep", "settling", machine.WhySpoke)
	h.waitMove(n, "nas", "settling", "asleep", machine.WhySilent)
	h.wantMetric(0, `nightporter_machine_external_starts_total{machine="nas"}`)
	h.wantNeighbor(h.lan.Client(), nas4, h.lan.Porter().MAC())
	if got := h.connect(h.lan.Client(), nas4, 22); got != lab.Banner("nas") {
		t.Errorf("the service said %q", got)
	}
}

// TestAddressTestsAfterRelease: after each kind of release the porter's announcements end
// before the machine tests its addresses.
func TestAddressTestsAfterRelease(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		conf  string
		boot  time.Duration
		start func(*harness, *lab.Machine)
	}{
		{"woken by our own exit", "wake: {on_exit: all}\n", 400 * time.Millisecond, func(h *harness, _ *lab.Machine) {
			h.must(h.daemon.Signal(syscall.SIGTERM))
		}},
		{"forgotten, then started by hand", "", 200 * time.Millisecond, func(h *harness, nas *lab.Machine) {
			status, text, err := h.daemon.Delete(h.ctx, "/api/v1/machines/nas")
			h.must(err)
			if status != 204 {
				h.Fatalf("DELETE answered %d: %s", status, text)
			}
			h.must(nas.PowerOn())
		}},
		{"boots slower than its wake may take", "wake: {attempts: 1, interval: 1s, timeout: 1s, keep: false}\n", 1300 * time.Millisecond, func(h *harness, _ *lab.Machine) {
			_, _, err := h.daemon.Post(h.ctx, "/api/v1/machines/nas/wake")
			h.must(err)
			h.waitMove(0, "nas", "waking", "awake", machine.WhyAttemptsGone)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t, fastProbe+c.conf)
			nas := h.addNAS(func(m *lab.MachineConfig) { m.Boot, m.ARPProbe = c.boot, true })
			h.putToSleep(nas)
			c.start(h, nas)
			h.waitEvent(nas, lab.NetworkUp)
			if happened(nas, lab.DADFailed) {
				t.Error("duplicate address detection failed")
			}
		})
	}
}

// TestConflict: another host takes a claimed address. The porter concedes it.
func TestConflict(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	other, err := h.lan.AddHost("other", netip.MustParsePrefix("10.77.0.66/24"), netip.MustParsePrefix("fd77::66/64"))
	h.must(err)
	capture, err := h.lan.CapturePort(h.ctx, h.lan.Porter())
	h.must(err)
	defer capture.Close()

	frames, err := lan.Announcement(other.MAC(), ether.Broadcast, other.MAC(), nas4, netip.Addr{}, netip.Addr{})
	h.must(err)
	h.must(other.SendFrame(frames[0]))
	_, err = h.daemon.Log.Wait(h.within(5*time.Second), 0, isConflict(nas4, other.MAC()))
	h.must(err)
	h.wantMetric(1, `nightporter_address_conflicts_total{machine="nas"}`)

	// The porter's own address is requested next: its answer marks the place where an answer
	// for the other address would be.
	client := h.lan.Client()
	for _, ip := range []netip.Addr{nas4, h.lan.Porter().Addr4()} {
		question, err := lan.NeighborProbe(client.MAC(), ether.Broadcast, client.Addr4(), ip)
		h.must(err)
		h.must(client.SendFrame(question))
	}
	answered := func(ip netip.Addr) func(lab.Frame) bool {
		return func(f lab.Frame) bool {
			var p lan.Packet
			return f.Outgoing && p.Parse(f.Data) == lan.Accepted && p.Kind == lan.ARPReply && p.From == ip
		}
	}
	_, err = capture.Wait(h.within(5*time.Second), answered(h.lan.Porter().Addr4()))
	h.must(err)
	for _, f := range capture.Frames() {
		if answered(nas4)(f) {
			t.Error("the porter still answers for an address that another host uses")
		}
	}
	// The machine's other address is still claimed, and still wakes it.
	if got := h.connect(client, nas6, 22); got != lab.Banner("nas") {
		t.Errorf("the service said %q", got)
	}
}

// TestAddressInUseIsNotClaimed: the probe before the claim finds the user of the address.
func TestAddressInUseIsNotClaimed(t *testing.T) {
	h := open(t, fastProbe+"registration: {trust: open}\n")
	squatter, err := h.lan.AddHost("squatter", netip.PrefixFrom(nas4, 24))
	h.must(err)
	mac := ether.MAC{2, 0x77, 0, 0, 0, 0x99} // of no host
	h.register(h.lan.Client(), registration("ghost", mac, monitored{nas4, []any{22}}))
	_, err = h.daemon.Log.Wait(h.within(5*time.Second), 0, isConflict(nas4, squatter.MAC()))
	h.must(err)
	h.waitMove(0, "ghost", "settling", "asleep", machine.WhySilent)
	h.must(h.lan.Client().WarmNeighbor(h.within(5*time.Second), nas4))
	h.waitNeighbor(h.lan.Client(), nas4, squatter.MAC())
}

// TestRegistersAgainInEveryState: a registration is accepted in each state.
func TestRegistersAgainInEveryState(t *testing.T) {
	h := open(t, "probe: {interval: 300ms}\nregistration: {trust: allowlist, allow: ['02:77:00:00:00:14']}\n")
	nas := h.addNAS(func(c *lab.MachineConfig) { c.Services[0].Delay = time.Minute })
	client := h.lan.Client()
	again := func(state string) {
		t.Helper()
		n := h.daemon.Log.Len()
		h.register(client, nasRegistration(nas))
		h.waitMove(n, "nas", state, "settling", machine.WhyRegistered)
	}
	again("awake")
	again("settling")
	h.must(nas.Sleep(h.ctx))
	n := h.daemon.Log.Len()
	h.waitMove(n, "nas", "settling", "asleep", machine.WhySilent)
	again("asleep")
	n = h.daemon.Log.Len()
	h.waitMove(n, "nas", "settling", "asleep", machine.WhySilent)
	conn := h.startConnecting(client, nas4, 22)
	defer conn.cancel()
	h.waitMove(n, "nas", "asleep", "waking", machine.WhyKnock)
	h.waitMove(n, "nas", "waking", "arriving", machine.WhyArrived)
	h.waitEvent(nas, lab.NetworkUp)
	again("arriving")
	n = h.daemon.Log.Len()
	h.must(nas.Sleep(h.ctx))
	h.waitMove(n, "nas", "settling", "asleep", machine.WhySilent)
	conn2 := h.startConnecting(client, nas6, 22)
	defer conn2.cancel()
	h.waitMove(n, "nas", "asleep", "waking", machine.WhyKnock)
	again("waking")
	h.wantMetric(5, `nightporter_registrations_total`)
}

// TestSIGTERMReleases: SIGTERM releases each claim within 2 s, with announcements of the
// machine's MAC.
func TestSIGTERMReleases(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	client := h.lan.Client()
	h.putToSleep(nas)
	for _, ip := range []netip.Addr{nas4, nas6} {
		h.must(client.WarmNeighbor(h.within(5*time.Second), ip))
		h.waitNeighbor(client, ip, h.lan.Porter().MAC())
	}
	began := time.Now()
	code, err := h.daemon.Stop(h.within(10 * time.Second))
	h.must(err)
	if took := time.Since(began); code != 0 || took > 2*time.Second {
		t.Errorf("exit code %d after %v, want 0 within 2 s", code, took)
	}
	h.waitNeighbor(client, nas4, nas.MAC())
	h.waitNeighbor(client, nas6, nas.MAC())
	if magic := magicPackets(nas); len(magic) != 0 {
		t.Errorf("magic packets %v, but wake.on_exit is none", magic)
	}
}

// TestWakeOnExit: with wake.on_exit the daemon wakes the sleeping machines at its exit.
func TestWakeOnExit(t *testing.T) {
	h := open(t, fastProbe+"wake: {on_exit: all}\n")
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	h.must(h.daemon.Signal(syscall.SIGTERM))
	h.waitEvent(nas, lab.NetworkUp)
}
