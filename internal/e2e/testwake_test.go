package e2e

import (
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/lab"
	"nightporter/internal/machine"
)

// wantUncounted: a test of nas left no trace in what counts.
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

// TestOfAMachineThatWakes: the output has each step, with what was measured.
func TestOfAMachineThatWakes(t *testing.T) {
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

// said is what a command prints, and tells of each text that was waited for.
type output struct {
	mu   sync.Mutex
	text strings.Builder
	news chan struct{} // capacity 1
}

func (s *output) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(b)
	select {
	case s.news <- struct{}{}:
	default:
	}
	return len(b), nil
}

func (s *output) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// prints waits until the command has printed a text.
func waitPrinted(h *harness, s *running, text string) {
	h.Helper()
	for limit := h.within(20 * time.Second); !strings.Contains(s.String(), text); {
		select {
		case <-s.news:
		case <-limit.Done():
			h.Fatalf("it did not print %q, only\n%s", text, s)
		}
	}
}

// running is a command of nightporter in the background.
type running struct {
	*output
	signal func(os.Signal) error
	ended  chan int // its exit code
}

// starts runs a command from the client's host.
func startCommand(h *harness, args ...string) *running {
	h.Helper()
	cmd := h.lan.Client().Command(h.ctx, os.Args[0], append(args, "--from", h.daemon.URL(""))...)
	cmd.Env = append(os.Environ(), programEnv...)
	r := &running{output: &output{news: make(chan struct{}, 1)}, ended: make(chan int, 1)}
	cmd.Stdout, cmd.Stderr = r.output, r.output
	h.must(h.lan.Client().Start(cmd))
	r.signal = cmd.Process.Signal
	go func() {
		_ = cmd.Wait() // the exit code tells
		r.ended <- cmd.ProcessState.ExitCode()
	}()
	return r
}

// ends waits for the exit code of a command.
func wantExit(h *harness, r *running, want int) {
	h.Helper()
	select {
	case code := <-r.ended:
		if code != want {
			h.Errorf("exit code %d, want %d, after\n%s", code, want, r)
		}
	case <-h.within(30 * time.Second).Done():
		h.Fatalf("it goes on, after\n%s", r)
	}
}

// TestOfAMachineThatIsAwake: it is put to sleep when the test says so.
func TestOfAMachineThatIsAwake(t *testing.T) {
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

// TestIsStopped: Ctrl-C ends it at once, and so does its time.
func TestIsStopped(t *testing.T) {
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

// TestOfAMachineThatDoesNotWake: the output says what to look at, and no message is sent.
func TestOfAMachineThatDoesNotWake(t *testing.T) {
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

	failWake(h, h.lan.Client(), nas4) // whose message comes first, if it is the first
	if m := nextMessage(h, hook); !contains(m.Message, "10.77.0.10") {
		t.Errorf("told %q", m)
	}
	wantOneSent(h)
}

// TestOfAServiceThatNeverListens: the machine wakes, and the test says which service
// does not.
func TestOfAServiceThatNeverListens(t *testing.T) {
	h := open(t, fastProbe+"hold: {ready_timeout: 700ms}\n")
	nas := h.addNAS(func(c *lab.MachineConfig) { c.Services = []lab.ServiceConfig{{Network: "udp", Port: 27015}} })
	h.putToSleep(nas)
	code, out := h.runCommand("test", "nas")
	if code != 1 || !contains(out, "it is up after ", "10.77.0.20:22/tcp accepts no connection", "[fd77::20]:22/tcp accepts no connection", "not every service was ready") {
		t.Errorf("exit code %d, %s", code, out)
	}
	wantUncounted(h)
}

// TestOfAMistypedMAC: the address is answered for by the machine itself, at its true MAC,
// which the test tells and `why` too.
func TestOfAMistypedMAC(t *testing.T) {
	h := openFor(t, fastProbe+"watch: {interval: 1s}\nmachines: [{name: nas, mac: '02:00:00:00:00:99', ip: 10.77.0.20, ports: [22/tcp], agentless: true}]\n", 2*time.Minute)
	nas := h.addNAS(nil)
	code, out := h.runCommand("test", "nas", "--timeout", "80s") // silence proves nothing for 30 s after a start
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
		"wake --mac ff:ff:ff:ff:ff:ff":           `--mac: found "ff:ff:ff:ff:ff:ff", expected that of one network card`,
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

// TestWakeOfAMACOnEachInterface of the porter.
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
