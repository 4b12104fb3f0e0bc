package e2e

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
	"nightporter/internal/machine"
	"nightporter/internal/web"
)

// shownNAS returns nas from the API.
func shownNAS(h *harness) (m web.Machine) {
	h.Helper()
	getInside(h, "/api/v1/machines/nas", &m)
	return m
}

// wantPaused expects that the API, the metric and the commands show the pause, and that no
// address is claimed.
func wantPaused(h *harness) {
	h.Helper()
	m := shownNAS(h)
	if m.PausedUntil == "" || m.State != machine.Awake || slices.ContainsFunc(m.Addresses, func(a web.Standing) bool { return a.Standing == machine.Claimed }) {
		h.Errorf("shown as %+v", m)
	}
	h.wantMetric(1, `nightporter_machine_paused{machine="nas"}`)
	for _, args := range [][]string{{"status"}, {"status", "nas"}} {
		if code, out := h.runCommand(args...); code != 0 || !contains(out, "paused until") {
			h.Errorf("%v: exit code %d, %s", args, code, out)
		}
	}
}

// wantUnreachable expects that a client's kernel finds no host at ip.
func wantUnreachable(h *harness, client *lab.Host, ip netip.Addr) {
	h.Helper()
	h.must(client.ForgetNeighbor(ip))
	conn, err := client.Dial(h.within(20*time.Second), "tcp", netip.AddrPortFrom(ip, 22).String())
	if err == nil {
		conn.Close()
	}
	if !errors.Is(err, syscall.EHOSTUNREACH) {
		h.Errorf("connecting to %v: %v, want %v", ip, err, syscall.EHOSTUNREACH)
	}
}

// TestPause: while a machine is paused the porter claims, answers and wakes nothing. After the
// pause it claims the machine as before.
func TestPause(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			h := openFor(t, fastProbe+mode.conf, 2*time.Minute)
			nas := h.addNAS(nil)
			client, own := h.lan.Client(), porterAddresses(h)
			h.putToSleep(nas)
			h.wantNeighbor(client, nas4, h.lan.Porter().MAC())
			h.wantNeighbor(client, nas6, h.lan.Porter().MAC())

			n := h.daemon.Log.Len()
			if code, out := h.runCommand("pause", "nas", "--for", "1h"); code != 0 || !contains(out, "nas is paused until", ", or until `nightporter resume nas`\n") {
				t.Fatalf("exit code %d, %s", code, out)
			}
			h.waitMove(n, "nas", "asleep", "awake", machine.WhyPaused)
			h.waitNeighbor(client, nas4, nas.MAC()) // announced by the porter
			h.waitNeighbor(client, nas6, nas.MAC())
			waitUnguarded(h, nas4, nas6)
			waitPorterAddresses(h, own)
			wantPaused(h)
			wantUnreachable(h, client, nas4)
			wantUnreachable(h, client, nas6)

			status, text, err := h.daemon.Post(h.within(5*time.Second), "/api/v1/machines/nas/wake")
			h.must(err)
			if status != 409 || !contains(text, "paused until", "resume it first") {
				t.Errorf("a wake is answered %d: %s", status, text)
			}
			if code, out := h.runCommand("wake", "nas"); code != 1 || !strings.HasPrefix(out, "nightporter: nas was not woken: it is paused until ") {
				t.Errorf("wake: exit code %d, %s", code, out)
			}
			if code, out := h.runCommand("test", "nas"); code != 1 || !contains(out, "nas is paused until", ": end that with `nightporter resume nas`\n") {
				t.Errorf("test: exit code %d, %s", code, out)
			}
			if happened(nas, lab.MagicPacket) {
				t.Error("a magic packet was sent")
			}
			h.wantMetric(0, `nightporter_held_packets_total{machine="nas"}`)

			n = h.daemon.Log.Len()
			if code, out := h.runCommand("resume", "nas"); code != 0 || !contains(out, "nas is no longer paused") {
				t.Fatalf("exit code %d, %s", code, out)
			}
			h.waitMove(n, "nas", "settling", "asleep", machine.WhySilent)
			h.wantNeighbor(client, nas4, h.lan.Porter().MAC())
			h.call(client, nas, nas6, 22)
			h.wantMetric(0, `nightporter_machine_paused{machine="nas"}`)
			if m := shownNAS(h); m.PausedUntil != "" || m.ExternalStarts != 0 {
				t.Errorf("shown as %+v", m)
			}
			if got := h.events("nas", journal.Paused); len(got) != 1 || !contains(got[0].By, "10.77.0.") || got[0].Until.IsZero() || got[0].Slept <= 0 {
				t.Errorf("paused: %+v", got)
			}
			if got := h.events("nas", journal.Resumed); len(got) != 1 || !contains(got[0].By, "10.77.0.") {
				t.Errorf("resumed: %+v", got)
			}
		})
	}
}

// TestPauseEnds: a pause ends at its time. The machine's frames and registration meanwhile take
// effect then.
func TestPauseEnds(t *testing.T) {
	h := open(t, fastProbe+"watch: {interval: 200ms}\n")
	nas := h.addNAS(nil)
	h.register(nas.Host, registration(nas.Name(), nas.MAC(), monitored{nas4, []any{22}}))
	n := h.daemon.Log.Len()
	status, text, err := h.daemon.PostBody(h.within(5*time.Second), "/api/v1/machines/nas/pause", `{"for": "4s"}`)
	h.must(err)
	until := time.Now().Add(4 * time.Second)
	if status != 200 || !contains(text, `"paused_until":"20`) {
		t.Fatalf("answered %d: %s", status, text)
	}
	h.register(nas.Host, nasRegistration(nas)) // with another address
	h.must(nas.Sleep(h.ctx))
	registered := h.waitAPIEvent("nas", journal.Registered, func(e journal.Event) bool { return contains(e.Reason, "waits for the end of the pause") })
	if registered.Until.IsZero() {
		t.Errorf("registered: %+v", registered)
	}
	settles := h.waitMove(n, "nas", "awake", "settling", machine.WhyUnanswered)
	if early := until.Sub(settles.Time); early > 100*time.Millisecond {
		t.Errorf("settled %v before the end of the pause", early)
	}
	h.waitMove(n, "nas", "settling", "asleep", machine.WhySilent)
	if got := h.transitions(n, "nas"); len(got) != 3 {
		t.Errorf("went %v", got)
	}
	h.wantNeighbor(h.lan.Client(), nas6, h.lan.Porter().MAC())
	h.call(h.lan.Client(), nas, nas4, 22)
}

// TestPauseWhileArriving: the machine has its addresses, and its clients get its own answers.
func TestPauseWhileArriving(t *testing.T) {
	h := open(t, fastProbe)
	nas := addSlowNAS(h, 5*time.Second) // its SSH
	h.putToSleep(nas)
	n := h.daemon.Log.Len()
	conn := h.startConnecting(h.lan.Client(), nas4, 22)
	h.waitMove(n, "nas", "waking", "arriving", machine.WhyArrived)
	if code, out := h.runCommand("pause", "nas", "--until", time.Now().Add(time.Hour).Format("2006-01-02T15:04:05")); code != 0 {
		t.Fatalf("exit code %d, %s", code, out)
	}
	h.waitMove(n, "nas", "arriving", "awake", machine.WhyPaused)
	conn.cancel()
	h.waitEvent(nas, lab.NetworkUp)
	if happened(nas, lab.DADFailed) {
		t.Error("duplicate address detection failed")
	}
	h.wantNeighbor(h.lan.Client(), nas4, nas.MAC())
	waitUnguarded(h, nas4, nas6)
	wantPaused(h)
}

// TestPauseSurvivesKill: a pause continues after the daemon was killed, and ends at its time.
func TestPauseSurvivesKill(t *testing.T) {
	h := openFor(t, fastProbe, 2*time.Minute)
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	if code, out := h.runCommand("pause", "nas", "--for", "1h"); code != 0 {
		t.Fatalf("exit code %d, %s", code, out)
	}
	before := shownNAS(h).PausedUntil
	h.daemon.Kill()
	h.restart(fastProbe)
	after := shownNAS(h).PausedUntil
	was, err := time.Parse(time.RFC3339, before)
	h.must(err)
	is, err := time.Parse(time.RFC3339, after)
	h.must(err)
	if d := is.Sub(was); d.Abs() > time.Second {
		t.Errorf("paused until %s, and %s before the restart", after, before)
	}
	wantPaused(h)
	if mac := whoHas(h, h.lan.Client(), nas4); mac != (ether.MAC{}) {
		t.Errorf("%v is answered for by %v", nas4, mac)
	}

	if code, out := h.runCommand("pause", "nas", "--for", "3s"); code != 0 { // replaces the pause
		t.Fatalf("exit code %d, %s", code, out)
	}
	h.daemon.Kill()
	h.restart(fastProbe)
	h.waitState(time.Minute, 0, "nas", "asleep") // no silence counts for 30 s after a start
	h.call(h.lan.Client(), nas, nas4, 22)
	if n := len(h.events("nas", journal.Resumed)); n != 1 {
		t.Errorf("resumed %d times", n)
	}
}

// TestPauseIsRefused: the answer names what is wrong, and nothing changes.
func TestPauseIsRefused(t *testing.T) {
	h := open(t, fastProbe+"http: {token: open sesame}\nmachines:\n  - {name: tv, mac: '02:00:00:00:00:99', monitor: [{ip: 10.77.0.99, port: [22]}]}\n")
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	file := filepath.Join(t.TempDir(), "token")
	h.must(os.WriteFile(file, []byte("open sesame"), 0o600))
	for _, tt := range []struct{ args, want string }{
		{"pause nas", "found neither --for nor --until"},
		{"pause nas --for 1h --until 2099-01-01T08:00", "--for and --until: give one of them"},
		{"pause nas --for 721h", "--for: found 721h, expected 1s to 720h"},
		{"pause nas --until tomorrow", `--until: found "tomorrow", expected a time such as`},
		{"pause nas --until 2020-01-01T08:00", "nightporter: nas was not paused: until: found"},
		{"pause nsa --for 1h", `no machine is named "nsa"; there are: nas, tv`},
		{"pause tv --for 1h", "nightporter: tv was not paused: it has not registered, so there is nothing to pause\n"},
		{"resume nas", "nightporter: nas was not resumed: it is not paused\n"},
		{"resume nsa", "there are: nas, tv"},
		{"wake --mac " + nas.MAC().String(), "nightporter: " + nas.MAC().String() + " was not woken: mac: found"},
		{"resume", "found 0 names, expected one"},
		{"test nsa", "there are: nas, tv"},
		{"test nas --timeout 0s", "--timeout: found 0s"},
		{"test tv", "tv has not registered"},
	} {
		if code, out := h.runCommand(append(strings.Fields(tt.args), "--token-file", file)...); code == 0 || !contains(out, tt.want) {
			t.Errorf("%s: exit code %d, %s, want %q", tt.args, code, out, tt.want)
		}
	}
	for _, args := range []string{"pause nas --for 1h", "resume nas", "test nas", "wake --mac 02:00:00:00:00:03"} {
		if code, out := h.runCommand(strings.Fields(args)...); code != 1 || !contains(out, "--token-file") {
			t.Errorf("%s without the token: exit code %d, %s", args, code, out)
		}
	}
	h.wantMetric(0, `nightporter_machine_paused{machine="nas"}`)
	h.wantMetric(1, `nightporter_machine_state{machine="nas", state="asleep"}`)
	if _, err := h.daemon.Log.Wait(h.within(time.Millisecond), 0, func(e labdaemon.Entry) bool { return e.Field("event") == "paused" }); err == nil {
		t.Error("it was paused")
	}
}
