package e2e

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/lab"
	"nightporter/internal/machine"
)

// wantUncounted expects that a test of nas is in no counter.
func wantUncounted(h *harness) {
	h.Helper()
	h.wantMetric(0, `nightporter_machine_wakes_total{machine="nas", trigger="api"}`)
	h.wantMetric(0, `nightporter_machine_wake_failures_total{machine="nas", trigger="api"}`)
	h.wantMetric(0, `nightporter_machine_settle_timeouts_total{machine="nas"}`)
	h.wantMetric(0, `nightporter_machine_external_starts_total{machine="nas"}`)
	h.wantMetric(0, `nightporter_machine_boot_duration_seconds_count{machine="nas"}`)
	h.wantMetric(0, `nightporter_machine_ready_duration_seconds_count{machine="nas"}`)
	if w := shownNAS(h).LastWake; w == nil || !w.Test {
		h.Errorf("the last wake is %+v", w)
	}
	if _, out := h.runCommand("status", "nas"); !contains(out, "), a test, for 10.77.0.10: ") || contains(out, "clients, 7 days") {
		h.Errorf("status says\n%s", out)
	}
	if _, out := h.runCommand("why", "nas"); !contains(out, ", a test, for 10.77.0.10:") {
		h.Errorf("why says\n%s", out)
	}
}

// TestTestCommandWakes: the output has each step, with its measurement.
func TestTestCommandWakes(t *testing.T) {
	h := open(t, fastProbe)
	nas := addSlowNAS(h, 300*time.Millisecond)
	h.putToSleep(nas)
	code, out := h.runCommand("test", "nas")
	if code != 0 || !contains(out, "nas has registered", "10.77.0.20 can be claimed", "it is asleep", "magic packet sent for "+nas.MAC().String(), "it is up after ",
		"10.77.0.20:22/tcp accepts connections after ", "[fd77::20]:22/tcp accepts connections after ", "10.77.0.20:27015/udp is not tested",
		"Wake-on-LAN works: ready after ", "wake.timeout of 5m0s is enough") {
		t.Errorf("exit code %d, %s", code, out)
	}
	h.waitMove(0, "nas", "arriving", "awake", machine.WhyReady)
	wantUncounted(h)
	if !happened(nas, lab.MagicPacket) {
		t.Error("it saw no magic packet")
	}
	if got := h.events("nas", journal.ServiceReady); len(got) != 2 || !got[0].Test || got[0].Ready <= 0 {
		t.Errorf("%+v", got)
	}
}

// TestTestCommandAwakeMachine: the user puts the machine to sleep when the test asks for it.
func TestTestCommandAwakeMachine(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	h.register(nas.Host, strings.Replace(nasRegistration(nas), "{", `{"watch":true,`, 1))
	test := startCommand(h, "test", "nas")
	waitPrinted(h, test, "put it to sleep now")
	h.register(nas.Host, nasRegistration(nas))
	waitPrinted(h, test, "it registered: it is about to sleep")
	h.must(nas.Sleep(h.ctx))
	waitPrinted(h, test, "it is off, and its addresses are claimed after ")
	wantExit(h, test, 0)
	if !contains(test.String(), "Wake-on-LAN works") {
		t.Errorf("printed\n%s", test)
	}
	wantUncounted(h)
}

// TestTestCommandStops: Ctrl-C and the timeout end the test at once.
func TestTestCommandStops(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	h.register(nas.Host, strings.Replace(nasRegistration(nas), "{", `{"watch":true,`, 1))
	test := startCommand(h, "test", "nas")
	waitPrinted(h, test, "put it to sleep now")
	h.must(test.signal(os.Interrupt))
	wantExit(h, test, 1)
	if out := test.String(); !contains(out, "stopped: nas stays as it is") || contains(out, "context canceled") {
		t.Errorf("printed\n%s", out)
	}
	if code, out := h.runCommand("test", "nas", "--timeout", "1s"); code != 1 || !contains(out, "nas was not put to sleep within 1s") {
		t.Errorf("exit code %d, %s", code, out)
	}
	if happened(nas, lab.MagicPacket) {
		t.Error("a magic packet was sent")
	}
}

// TestTestCommandWakeFails: the output has remedies, and no notification is sent.
func TestTestCommandWakeFails(t *testing.T) {
	t.Parallel()
	ctx, home := newLAN(t)
	hook := newWebhook(t, home.Porter())
	h := openOn(ctx, t, home, fastProbe+"wake: {attempts: 2, interval: 300ms, timeout: 600ms}\nnotify: {urls: ['"+hook.url+"']}\n")
	nas := h.addNAS(func(c *lab.MachineConfig) { c.IgnoreMagic = lab.IgnoreAll })
	h.putToSleep(nas)
	for range 2 {
		code, out := h.runCommand("test", "nas")
		if code != 1 || !contains(out, "magic packets, round 2", "nas did not wake: no answer to 2 rounds of magic packets", "ethtool -s eth0 wol g",
			"the packets were for "+nas.MAC().String()) {
			t.Errorf("exit code %d, %s", code, out)
		}
	}
	wantUncounted(h)
	h.wantMetric(1, `nightporter_machine_state{machine="nas", state="asleep"}`)

	failWake(h, h.lan.Client(), nas4) // its message is the first one
	if m := nextMessage(h, hook); !contains(m.Message, "10.77.0.10") {
		t.Errorf("received %q", m)
	}
	wantOneSent(h)
}

// TestTestCommandServiceNeverListens: the machine wakes, and the test names the service that is
// not ready.
func TestTestCommandServiceNeverListens(t *testing.T) {
	h := open(t, fastProbe+"hold: {ready_timeout: 700ms}\n")
	nas := h.addNAS(func(c *lab.MachineConfig) { c.Services = []lab.ServiceConfig{{Network: "udp", Port: 27015}} })
	h.putToSleep(nas)
	code, out := h.runCommand("test", "nas")
	if code != 1 || !contains(out, "it is up after ", "10.77.0.20:22/tcp accepts no connection", "[fd77::20]:22/tcp accepts no connection", "not every service was ready") {
		t.Errorf("exit code %d, %s", code, out)
	}
	wantUncounted(h)
}

// TestTestCommandMistypedMAC: the machine itself answers for the address, with its true MAC.
// The commands test and why print it.
func TestTestCommandMistypedMAC(t *testing.T) {
	h := openFor(t, fastProbe+"watch: {interval: 1s}\nmachines: [{name: nas, mac: '02:00:00:00:00:99', ip: 10.77.0.20, ports: [22/tcp], agentless: true}]\n", 2*time.Minute)
	nas := h.addNAS(nil)
	code, out := h.runCommand("test", "nas", "--timeout", "80s") // no silence counts for 30 s after a start
	if code != 1 || !contains(out, nas.MAC().String()) || contains(out, "magic packets, round 2") {
		t.Errorf("exit code %d, %s", code, out)
	}
	if code, out := h.runCommand("why", "nas"); code != 0 || !contains(out, "another host uses it, "+nas.MAC().String()) {
		t.Errorf("why: exit code %d, %s", code, out)
	}
	h.wantMetric(0, `nightporter_machine_wake_failures_total{machine="nas", trigger="api"}`)
}

// TestWakeOfAMAC: a MAC that no machine has gets a magic packet, and the event names the requester.
func TestWakeOfAMAC(t *testing.T) {
	h := open(t, fastProbe)
	stranger := h.addNAS(nil)
	h.must(stranger.Sleep(h.ctx))
	mac := stranger.MAC().String()
	if code, out := h.runCommand("wake", "--mac", strings.ToUpper(mac)); code != 0 || !contains(out, "magic packet sent for "+mac) {
		t.Fatalf("exit code %d, %s", code, out)
	}
	h.waitEvent(stranger, lab.PoweredOn)
	if seen := magicPackets(stranger); seen[lab.OverUDP] != 1 || seen[lab.OverEthernet] != 2 {
		t.Errorf("magic packets %v", seen)
	}
	asked := h.events("", journal.Asked)
	if len(asked) != 1 || asked[0].MAC != stranger.MAC() || asked[0].Machine != "" || !contains(asked[0].By, "10.77.0.10:") || !contains(asked[0].Reason, "eth0") {
		t.Errorf("%+v", asked)
	}
	if code, out := h.runCommand("events"); code != 0 || !contains(out, "wake of "+mac+" requested by 10.77.0.10:") {
		t.Errorf("exit code %d, %s", code, out)
	}

	h.waitEvent(stranger, lab.NetworkUp)
	h.register(stranger.Host, nasRegistration(stranger))
	for args, want := range map[string]string{
		"wake --mac " + mac:                      "expected its name instead",
		"wake --mac ff:ff:ff:ff:ff:ff":           `--mac: found "ff:ff:ff:ff:ff:ff", expected the MAC address of one network card`,
		"wake --mac nas":                         `--mac: found "nas"`,
		"wake nas --mac " + mac:                  `--mac: found the name "nas" too`,
		"wake --wait 1m --mac 02:00:00:00:00:03": "--mac: found --wait or --json too",
		"wake":                                   "found 0 names, expected one",
	} {
		if code, out := h.runCommand(strings.Fields(args)...); code == 0 || !contains(out, want) {
			t.Errorf("%s: exit code %d, %s, want %q", args, code, out, want)
		}
	}
	if n := len(h.events("", journal.Asked)); n != 1 {
		t.Errorf("asked for %d times", n)
	}
}

// TestWakeOfAMACOnEachInterface: the magic packet is sent on each interface of the porter.
func TestWakeOfAMACOnEachInterface(t *testing.T) {
	t.Parallel()
	ctx, home := newLAN(t)
	leg, err := home.AddLeg(home.Porter(), 10, netip.MustParsePrefix("10.80.0.2/24"))
	if err != nil {
		t.Fatal(err)
	}
	h := openOn(ctx, t, home, fastProbe+"interfaces: [eth0, "+leg+"]\n")
	there, err := h.lan.AddHostIn(10, "there", netip.MustParsePrefix("10.80.0.10/24"))
	h.must(err)
	captures := []*lab.Capture{h.capturePort(h.lan.Client()), h.capturePort(there)}
	status, text, err := h.daemon.PostBody(h.within(5*time.Second), "/api/v1/wake", `{"mac": "02:00:00:00:00:03"}`)
	h.must(err)
	if status != 202 {
		t.Fatalf("answered %d: %s", status, text)
	}
	for i, c := range captures {
		_, err := c.Wait(h.within(5*time.Second), func(f lab.Frame) bool { return f.EtherType() == 0x0842 && f.Dst() == ether.Broadcast })
		if err != nil {
			t.Errorf("interface %d: %v", i, err)
		}
	}
}
