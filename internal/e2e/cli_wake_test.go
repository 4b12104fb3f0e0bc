package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
	"nightporter/internal/machine"
	"nightporter/internal/web"
)

// TestWakeCommandWakes: the commands show a sleeping machine, wake it, wait for it, and show it
// awake.
func TestWakeCommandWakes(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	code, out := h.runCommand("status")
	if lines := strings.Split(out, "\n"); code != 0 || len(lines) != 5 || !contains(lines[3], "SLEPT and SAVED count since ") || !contains(lines[0], "ready, 1 of 1 machines asleep") || !contains(lines[2], "nas ", " asleep ", " never") {
		t.Errorf("exit code %d, %s", code, out)
	}
	if code, out := h.runCommand("status", "nas"); code != 0 || !contains(out, "asleep", "10.77.0.20 22/tcp 22/udp 27015/udp icmp", nas.MAC().String()) {
		t.Errorf("exit code %d, %s", code, out)
	}
	code, out = h.runCommand("wake", "tv")
	if code != 1 || !contains(out, `no machine is named "tv"`, "there are: nas") {
		t.Errorf("exit code %d, %s", code, out)
	}
	n := h.daemon.Log.Len()
	code, out = h.runCommand("wake", "nas", "--wait", "20s")
	if code != 0 || !contains(out, "wake requested by 10.77.0.", "magic packets, round 1", "nas is awake after ") {
		t.Errorf("exit code %d, %s", code, out)
	}
	h.waitMove(n, "nas", "arriving", "awake", machine.WhyReady)
	if !happened(nas, lab.MagicPacket) {
		t.Error("it saw no magic packet")
	}
	code, out = h.runCommand("status", "nas", "--json")
	var shown web.Machine
	if err := json.Unmarshal([]byte(out), &shown); err != nil || code != 0 {
		t.Fatalf("exit code %d, %s: %v", code, out, err)
	}
	if shown.State != machine.Awake || shown.LastWake == nil || shown.Wakes["api"] != 1 || shown.SleptSeconds <= 0 {
		t.Errorf("shown as %+v", shown)
	}
}

// TestWakeCommandFails: the command reports a machine that does not wake, with an exit code.
func TestWakeCommandFails(t *testing.T) {
	h := open(t, fastProbe+"wake: {attempts: 2, interval: 300ms, timeout: 600ms}\n")
	nas := h.addNAS(func(c *lab.MachineConfig) { c.IgnoreMagic = lab.IgnoreAll })
	h.putToSleep(nas)
	code, out := h.runCommand("wake", "nas", "--wait", "20s")
	if code != 1 || !contains(out, "magic packets, round 2", "nas did not wake: no answer to 2 rounds of magic packets, for 10.77.0.10") {
		t.Errorf("exit code %d, %s", code, out)
	}
	if code, out := h.runCommand("status"); code != 0 || !contains(out, "asleep, did not wake", "1 did not wake") {
		t.Errorf("exit code %d, %s", code, out)
	}
	code, out = h.runCommand("wake", "nas", "--wait", "100ms")
	if code != 2 || !contains(out, "nas is not awake after ") {
		t.Errorf("not in time: exit code %d, %s", code, out)
	}
}

// TestTokenOfHTTP: with http.token no client wakes or forgets a machine without the token.
// SIGHUP changes the token.
func TestTokenOfHTTP(t *testing.T) {
	h := open(t, fastProbe+"http: {token: open sesame}\n")
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	file := filepath.Join(t.TempDir(), "token")
	h.must(os.WriteFile(file, []byte("open sesame\n"), 0o600))

	if code, out := h.runCommand("wake", "nas"); code != 1 || !contains(out, "nas was not woken: this porter requires a token: give --token-file FILE") {
		t.Errorf("without the token: exit code %d, %s", code, out)
	}
	status, text, err := h.daemon.Delete(h.ctx, "/api/v1/machines/nas")
	h.must(err)
	if status != 401 || !contains(text, `{"error":"`) {
		t.Errorf("forget without the token: %d %s", status, text)
	}
	if code, out := h.runCommand("status"); code != 0 || !contains(out, "asleep") {
		t.Errorf("to look: exit code %d, %s", code, out)
	}
	h.reload(fastProbe+"http: {token: another one}\n", "configuration reloaded")
	if code, out := h.runCommand("wake", "nas", "--token-file", file); code != 1 || !contains(out, "nas was not woken: the token is not this porter's") {
		t.Errorf("with the old token: exit code %d, %s", code, out)
	}
	if happened(nas, lab.MagicPacket) {
		t.Error("it was woken all the same")
	}
	h.must(os.WriteFile(file, []byte("another one\n"), 0o600))
	if code, out := h.runCommand("wake", "nas", "--token-file", file, "--wait", "20s"); code != 0 || !contains(out, "nas is awake after ") {
		t.Errorf("with the token: exit code %d, %s", code, out)
	}
	if log := h.daemon.Log.Text(); strings.Contains(log, "open sesame") || strings.Contains(log, "another one") {
		t.Error("the log tells a token")
	}
}

// TestOtherSitesCannotWake: a page of another site cannot wake a machine, across origins or by
// a name of its own for the porter's address.
func TestOtherSitesCannotWake(t *testing.T) {
	h := open(t, fastProbe+"http: {hosts: [porter.example.org]}\n")
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	own := strings.TrimPrefix(h.daemon.URL(""), "http://")
	send := func(method, path, host, origin string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(h.ctx, method, h.daemon.URL(path), nil)
		h.must(err)
		r.Host = host
		r.Header.Set("Origin", origin)
		client := http.Client{Transport: &http.Transport{DialContext: h.lan.Client().Dial, DisableKeepAlives: true}}
		resp, err := client.Do(r)
		h.must(err)
		h.must(resp.Body.Close())
		return resp.StatusCode
	}
	const wake, forget = "/api/v1/machines/nas/wake", "/api/v1/machines/nas"
	for _, from := range []struct{ host, origin string }{
		{own, "http://evil.example"},
		{own, "null"},
		{"evil.example:9717", "http://evil.example:9717"},
	} {
		if a, b := send("POST", wake, from.host, from.origin), send("DELETE", forget, from.host, from.origin); a != 403 || b != 403 {
			t.Errorf("from %s at %s: status %d and %d, want 403", from.origin, from.host, a, b)
		}
	}
	h.wantMetric(1, `nightporter_machine_state{machine="nas", state="asleep"}`)
	h.wantMetric(0, `nightporter_machine_wake_attempts_total{machine="nas"}`)
	n := h.daemon.Log.Len()
	if got := send("POST", wake, own, "http://"+own); got != 202 {
		t.Errorf("our own page: status %d, want 202", got)
	}
	h.waitMove(n, "nas", "arriving", "awake", machine.WhyReady)
	if got := send("DELETE", forget, "porter.example.org", "http://porter.example.org"); got != 204 {
		t.Errorf("our own page under a name of http.hosts: status %d, want 204", got)
	}
}

// TestFromAddressErrors: the error of a wrong --from names what was expected.
func TestFromAddressErrors(t *testing.T) {
	h := open(t, fastProbe)
	for from, want := range map[string][]string{
		"10.77.0.2:13717":        {"(the server there does not speak HTTP): that is the registration port: ", "9717 by default"},
		"10.77.0.2:9718":         {"no nightporter answers at 10.77.0.2:9718 (connection refused): is it running there, and its port open in the firewall?"},
		"nosuchhost":             {`no address was found for "nosuchhost"`, ": is the name right? An IP address also works, such as --from 192.168.1.2\n"},
		"10.77.0.2:9717/path":    {`below the path "/path" of 10.77.0.2:9717 (404 Not Found)`},
		"https://10.77.0.2:9717": {"10.77.0.2:9717 speaks HTTP without TLS: expected http://10.77.0.2:9717\n"},
	} {
		if out, err := h.runOn(h.lan.Client(), "status", "--from", from); err == nil || !strings.HasPrefix(out, "nightporter: ") || !contains(out, want...) {
			t.Errorf("%s: %v, %s", from, err, out)
		}
	}
}

// TestWakeCommandMachineCountedAwake: a machine that was switched off a moment ago is woken.
// For a machine that is up, the command says when it was heard.
func TestWakeCommandMachineCountedAwake(t *testing.T) {
	h, nas := openAgentless(t)
	conf := strings.Replace(agentlessConf(nas.MAC(), nas4, nas6), "interval: 500ms", "interval: 10m", 1)
	h.reload(conf, "configuration reloaded")
	if code, out := h.runCommand("wake", "nas", "--wait", "20s"); code != 0 || !contains(out, "nas is awake: it counted as awake, and was heard 0.") {
		t.Errorf("a machine that is up: exit code %d, %s", code, out)
	}
	n := h.daemon.Log.Len()
	h.must(nas.Sleep(h.ctx))
	nas.IgnoreMagic(lab.IgnoreAll)
	if code, out := h.runCommand("wake", "nas", "--wait", "1s"); code != 2 || !contains(out, "nas counts as awake, but was not heard for 1.", "(last heard ") {
		t.Errorf("not in time: exit code %d, %s", code, out)
	}
	_, err := h.daemon.Log.Wait(h.within(50*time.Second), n, labdaemon.Moved("nas", "asleep", "waking", string(machine.WhyRequested))) // no silence counts for 30 s after a start
	h.must(err)
	nas.IgnoreMagic(0)
	if code, out := h.runCommand("wake", "nas", "--wait", "20s"); code != 0 || !contains(out, "nas is awake after ") {
		t.Errorf("a machine that is off: exit code %d, %s", code, out)
	}
}

// TestRequestedWakeEnds: a requested wake ends also if the machine goes off each time before
// its service listens.
func TestRequestedWakeEnds(t *testing.T) {
	h := open(t, fastProbe+"wake: {attempts: 1, interval: 3s, timeout: 4s}\n")
	nas := addHalfReady(h)
	if _, _, err := h.daemon.Post(h.ctx, "/api/v1/machines/nas/wake"); err != nil {
		t.Fatal(err)
	}
	for len(h.events("nas", journal.Failed)) == 0 {
		if shownNAS(h).State == machine.Arriving {
			_ = nas.Sleep(h.ctx) // the machine may be off already
		}
		pauseOrFail(h, 100*time.Millisecond)
	}
	if n := h.events("nas", journal.Arrived); len(n) == 0 {
		t.Error("it never arrived, which shows nothing")
	}
}

// TestWakeCommandRepeatedFailure: the command ends with an error for a second failure as for
// the first one.
func TestWakeCommandRepeatedFailure(t *testing.T) {
	h := open(t, fastProbe+"wake: {attempts: 2, interval: 300ms, timeout: 600ms}\n")
	h.putToSleep(h.addNAS(func(c *lab.MachineConfig) { c.IgnoreMagic = lab.IgnoreAll }))
	for range 2 {
		if code, out := h.runCommand("wake", "nas", "--wait", "30s"); code != 1 {
			t.Errorf("exit code %d: %s", code, out)
		}
	}
}
