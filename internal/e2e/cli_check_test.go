package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter/internal/labdaemon"
)

// checkHost runs check --host on the porter's host beside its daemon.
func checkHost(h *harness, text string, env ...string) (code int, out string) {
	h.Helper()
	conf := filepath.Join(h.TempDir(), "config.yaml")
	h.must(os.WriteFile(conf, []byte(text), 0o600))
	cmd := h.daemon.Host().Command(h.ctx, os.Args[0], "check", "--host", "--config", conf)
	cmd.Env = append(append(os.Environ(), programEnv...), env...)
	var printed strings.Builder
	cmd.Stdout, cmd.Stderr = &printed, &printed
	h.must(h.daemon.Host().Start(cmd))
	if err := cmd.Wait(); err != nil && cmd.ProcessState == nil {
		h.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), printed.String()
}

// TestCheckHost: check --host verifies what a daemon needs, beside a running daemon, and names
// what is missing with a remedy.
func TestCheckHost(t *testing.T) {
	h := open(t, fastProbe)
	code, out := checkHost(h, "state_dir: "+t.TempDir()+"\n")
	if code != 0 || !contains(out, "ok  capabilities         CAP_NET_ADMIN CAP_NET_RAW\n", "ok  interfaces           eth0 10.77.0.2/24",
		"ok  registration.listen  :13717 (nightporter is running)\n", "ok  http.listen          :9717 (nightporter is running)\n",
		"ok  state_dir            /", "ok  nftables             can be used\nthis host: OK\n") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	code, out = checkHost(h, "interfaces: [eth0, eth9]\nstate_dir: /dev/null/none\nhttp: {listen: [':13717']}\nregistration: {listen: [':9999']}\n")
	if code != 1 || !contains(out, "ok     interfaces           eth0 10.77.0.2/24", "WRONG  interfaces           ", "eth9",
		"ok     registration.listen  :9999\n", "WRONG  http.listen          :13717: address already in use: `ss -ltnp 'sport = :13717'` shows by what",
		"WRONG  state_dir            /dev/null/none: not a directory: ", "\nthis host: 3 of 7 are WRONG\n") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	code, out = checkHost(h, "state_dir: "+t.TempDir()+"\n", withoutNetAdmin+"=1")
	if code != 1 || !contains(out, "WRONG  capabilities         CAP_NET_ADMIN missing: run this as root; ", "ok     interfaces ",
		"ok     nftables             cannot be used, and claim.guard is auto: claims work without it (") {
		t.Errorf("without CAP_NET_ADMIN: exit code %d\n%s", code, out)
	}
	if h.daemon.Log.Len() == 0 || strings.Contains(h.daemon.Log.Text(), `"level":"ERROR"`) {
		t.Error("the daemon was disturbed")
	}
}

// TestForgetByCommand: the command forgets a machine, and names the known ones for an unknown
// name.
func TestForgetByCommand(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	if code, out := h.runCommand("forget", "tv"); code != 1 || !contains(out, `no machine is named "tv"; there are: nas`) {
		t.Errorf("exit code %d, %s", code, out)
	}
	n := h.daemon.Log.Len()
	if code, out := h.runCommand("forget", "nas"); code != 0 || out != "nas is forgotten\n" {
		t.Errorf("exit code %d, %s", code, out)
	}
	e, err := h.daemon.Log.Wait(h.within(10*time.Second), n, labdaemon.Is("forgotten"))
	h.must(err)
	if e.Field("machine") != "nas" || !contains(e.Field("reason"), "requested by 10.77.0.10:") {
		h.Errorf("logged %+v", e)
	}
	if code, out := h.runCommand("status"); code != 0 || !contains(out, "ready, no machine yet") {
		t.Errorf("exit code %d, %s", code, out)
	}
	if code, out := h.runCommand("events", "--machine", "nas", "-n", "1"); code != 0 || !contains(out, "forgotten") {
		t.Errorf("exit code %d, %s", code, out)
	}
	if code, out := h.runCommand("events", "--machine", "tv"); code != 1 || !contains(out, `--machine: no machine is named "tv"`) {
		t.Errorf("exit code %d, %s", code, out)
	}
}

// TestRegisterCheck: the porter says whether it would accept a machine, and why not. It stores
// nothing.
func TestRegisterCheck(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	to := h.lan.Porter().Addr4().String()
	out, err := h.runOn(nas.Host, "register", "--to", to, "--name", "nas", "--port", "22/tcp", "--check")
	if err != nil || !contains(out, `"mac": "`+nas.MAC().String()+`"`, "10.77.0.2:13717: the porter would accept it as \"nas\"\n") {
		t.Errorf("%v: %s", err, out)
	}
	thief := []string{"register", "--to", to, "--name", "nas", "--mac", nas.MAC().String(), "--monitor", "10.77.0.20=22", "--check"}
	if out, err := h.runOn(h.lan.Client(), thief...); err == nil || !contains(out, "the porter refused: ", "trust: self") {
		t.Errorf("of another: %v: %s", err, out)
	}
	const noPort = "nightporter register: --port: found \"foo\": expected 1 to 65535"
	if out, err := h.runOn(nas.Host, "register", "--to", to, "--port", "22,foo"); err == nil || !strings.HasPrefix(out, noPort) {
		t.Errorf("with a bad port: %v: %s", err, out)
	}
	const itself = `--to: found "10.77.0.2", which is this host itself: expected another host. Run this on the machine that sleeps`
	if out, err := h.runOn(h.lan.Porter(), "register", "--to", to, "--port", "22"); err == nil || !contains(out, itself) {
		t.Errorf("on the porter: %v: %s", err, out)
	}
	if code, out := h.runCommand("status"); code != 0 || !contains(out, "ready, no machine yet") {
		t.Errorf("the machine was taken in: exit code %d, %s", code, out)
	}
	h.wantMetric(0, `nightporter_registrations_total`)
	h.wantMetric(0, `nightporter_registrations_rejected_total{reason="refused"}`)
	h.register(nas.Host, nasRegistration(nas))
	h.wantMetric(1, `nightporter_registrations_total`)
}

// TestStartLogged: the log begins with the version, and has the URL of the page.
func TestStartLogged(t *testing.T) {
	h := open(t, fastProbe)
	first := h.daemon.Log.Entries(0)[0]
	if _, told := first.Fields["version"]; first.Event() != "starting" || first.Message != "starting nightporter" || !told {
		t.Errorf("first %+v", first)
	}
	e, err := h.daemon.Log.Wait(h.within(10*time.Second), 0, labdaemon.Is("ready"))
	h.must(err)
	if e.Field("page") != "http://10.77.0.2:9717/" || !contains(e.Field("interfaces"), "eth0 10.77.0.2/24") || e.Field("machines") != "0" {
		t.Errorf("ready: %+v", e.Fields)
	}
}

// TestCheckHostAddresses: check --host names each address that cannot be claimed in this host's
// network, with its key and line, in both forms. A network that is missing is no error.
func TestCheckHostAddresses(t *testing.T) {
	h := open(t, fastProbe)
	state := "state_dir: " + t.TempDir() + "\n"
	code, out := checkHost(h, state+"machines:\n"+
		"  - {name: a, mac: 02:00:00:00:00:01, ip: [10.77.0.2, 10.77.0.31], ports: 22}\n"+
		"  - {name: b, mac: 02:00:00:00:00:02, ip: 10.77.0.1, ports: ssh}\n"+
		"  - name: c\n    mac: 02:00:00:00:00:03\n    monitor:\n"+
		"      - {ip: 10.77.0.255, port: [22]}\n      - {ip: 10.77.0.0, port: [22]}\n      - {ip: 192.168.9.9, port: [22]}\n      - {ip: 'fd77::', port: []}\n"+
		"    guests: [{mac: 02:00:00:00:00:13, ip: 10.78.0.5, port: [80]}]\n")
	for _, want := range [][3]string{
		{"machines[0].ip[0]          found 10.77.0.2 ", "line 3", "an address of the porter's own host: expected an address of the machine"},
		{"machines[1].ip             found 10.77.0.1 ", "line 4", "a gateway's address: expected an address of the machine"},
		{"machines[2].monitor[0].ip  found 10.77.0.255 ", "line 8", "a broadcast or network address: expected"},
		{"machines[2].monitor[1].ip  found 10.77.0.0 ", "line 9", "a broadcast or network address: expected"},
		{"machines[2].monitor[2].ip  found 192.168.9.9 ", "line 10", "expected an address in a network of eth0 10.77.0.2/24 "},
		{"machines[2].monitor[3].ip  found fd77:: ", "line 11", "an anycast address: expected"},
		{"machines[2].guests[0].ip   found 10.78.0.5 ", "line 12", "expected an address in a network of eth0"},
	} {
		if !slices.ContainsFunc(strings.Split(out, "\n"), func(line string) bool { return contains(line, "WRONG  "+want[0], want[1]+")", want[2]) }) {
			t.Errorf("no line with %q in\n%s", want, out)
		}
	}
	if code != 1 || strings.Contains(out, "10.77.0.31") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	const good = "machines: [{name: a, mac: 02:00:00:00:00:01, ip: [10.77.0.31, 'fd77::31', '2001:db8::31'], ports: 22}]\n"
	if code, out := checkHost(h, state+good); code != 0 || !contains(out, "ok  machines             1 machine, 3 addresses\n") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	// Addresses of a network that is not there yet are not reported.
	if code, out := checkHost(h, state+"interfaces: [eth9]\nmachines: [{name: a, mac: 02:00:00:00:00:01, ip: 192.168.9.9, ports: 22}]\n"); code != 1 || strings.Contains(out, "192.168.9.9") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// TestCheckHostMAC: check --host names a MAC address of this host with its key and line, also
// in guests.
func TestCheckHostMAC(t *testing.T) {
	h := open(t, fastProbe)
	state, own := "state_dir: "+t.TempDir()+"\n", h.lan.Porter().MAC().String()
	code, out := checkHost(h, state+"machines:\n  - {name: a, mac: '"+own+"', ip: 10.77.0.31, ports: 22}\n")
	if code != 1 || !contains(out, "machines[0].mac ", "found "+own, "line 3), that of an interface of this host: expected the MAC address of the machine\n") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	code, out = checkHost(h, state+"machines:\n  - name: b\n    mac: 02:00:00:00:00:02\n    ip: 10.77.0.32\n    ports: 22\n"+
		"    guests: [{mac: '"+own+"', ip: 10.77.0.33, port: [80]}]\n")
	if code != 1 || !contains(out, "machines[0].guests[0].ip ", "found "+own, "line 7), that of an interface of this host: expected the MAC address of the guest\n") {
		t.Errorf("in guests: exit code %d\n%s", code, out)
	}
	code, out = checkHost(h, state+"machines: [{name: a, mac: 02:00:00:00:00:01, ip: 10.77.0.31, ports: 22}]\n")
	if code != 0 || !contains(out, "1 machine, 1 address\n") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// TestUnclaimableAddresses: a start and a reload accept a configuration with such addresses.
// The status of the machine has the reason for each.
func TestUnclaimableAddresses(t *testing.T) {
	const of = "machines: [{name: tv, mac: 02:00:00:00:00:01, agentless: true, ip: [%s], ports: 22}]\n"
	wants := func(h *harness, all map[string]string) {
		h.Helper()
		for ip, why := range all {
			_, out := h.runCommand("status", "tv")
			for deadline := time.Now().Add(5 * time.Second); !contains(out, ip, why) && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
				_, out = h.runCommand("status", "tv")
			}
			if !contains(out, ip, why) {
				t.Errorf("%s: want %q in\n%s", ip, why, out)
			}
		}
	}
	h := open(t, fastProbe+fmt.Sprintf(of, "10.77.0.2, 10.77.0.1"))
	wants(h, map[string]string{"10.77.0.2": "it is an address of the porter's own host", "10.77.0.1": "it is a gateway's address"})
	h.reload(fastProbe+fmt.Sprintf(of, "10.77.0.255, 192.168.9.9"), "configuration reloaded")
	wants(h, map[string]string{"10.77.0.255": "it is a broadcast or network address", "192.168.9.9": "it is not in a network of the porter's interface"})
}
