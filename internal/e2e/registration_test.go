package e2e

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/labdaemon"
	"nightporter/internal/machine"
)

// TestRegistrationInTwoHalves: a slow client that does not close the connection is served, over
// IPv4 and IPv6.
func TestRegistrationInTwoHalves(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	text := nasRegistration(nas)
	for _, to := range []netip.Addr{h.lan.Porter().Addr4(), h.lan.Porter().Addr6()} {
		answer, err := h.daemon.RegisterIn(h.within(10*time.Second), nas.Host, to, []string{text[:40], text[40:]}, time.Second)
		h.must(err)
		if answer != "OK." {
			t.Errorf("over %v: answered %q", to, answer)
		}
	}
}

// TestTrustSelf: under trust: self a machine can register only itself.
func TestTrustSelf(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	client, porter, router := h.lan.Client(), h.lan.Porter(), h.lan.Router()
	ports := []any{22}
	at := func(ip netip.Addr) monitored { return monitored{ip, ports} }

	h.wantRefused(client, nasRegistration(nas), "trust: self", client.MAC().String())                // another's MAC
	h.wantRefused(client, registration("me", client.MAC(), at(nas4)), "monitor[0].ip", "10.77.0.20") // another's address
	h.wantRefused(client, registration("me", client.MAC(), at(client.Addr4()), at(nas6)), "monitor[1].ip", "fd77::20")
	h.wantRefused(client, registration("me", client.MAC(), at(router.Addr4())), "monitor[0].ip", "gateway")
	h.wantRefused(client, registration("me", client.MAC(), at(router.Addr6())), "monitor[0].ip", "gateway")
	h.wantRefused(client, registration("me", client.MAC(), at(porter.Addr4())), "monitor[0].ip")                                  // the porter's
	h.wantRefused(client, registration("me", client.MAC(), at(porter.Addr6())), "monitor[0].ip")                                  //
	h.wantRefused(client, registration("me", porter.MAC(), at(client.Addr4())), "mac")                                            // the porter's MAC
	h.wantRefused(client, registration("me", client.MAC(), at(netip.MustParseAddr("10.77.0.77"))), "monitor[0].ip", "10.77.0.77") // unused
	h.wantRefused(client, registration("me", client.MAC(), at(netip.MustParseAddr("fd77::77"))), "monitor[0].ip", "fd77::77")
	h.wantRefused(client, registration("me", client.MAC(), at(netip.MustParseAddr("10.77.0.255"))), "monitor[0].ip", "broadcast")
	h.wantRefused(client, registration("me", client.MAC(), at(netip.MustParseAddr("224.0.0.5"))), "monitor[0].ip", "multicast")
	h.wantRefused(client, registration("me", client.MAC(), at(netip.MustParseAddr("192.0.2.1"))), "monitor[0].ip", "192.0.2.1")
	h.wantRefused(h.lan.Outside(), registration("me", client.MAC(), at(client.Addr4()))) // from behind the router
	h.wantRefused(porter, registration("me", nas.MAC(), at(nas4)))                       // from the porter's host
	h.wantRefused(client, `{"mac":"nonsense"}`, "mac", "nonsense")
	h.wantRefused(client, `{"mac":`+"\n"+`[]}`, "mac")
	h.wantRefused(client, `not JSON`)
	h.wantMetric(0, `nightporter_registrations_total`)
	h.wantMetric(15, `nightporter_registrations_rejected_total{reason="refused"}`)
	h.wantMetric(3, `nightporter_registrations_rejected_total{reason="invalid"}`)

	h.register(client, registration("me", client.MAC(), at(client.Addr4()), at(client.Addr6())))
	h.register(nas.Host, registration("me", nas.MAC(), at(nas4)))
	h.waitAPIEvent("me-2", journal.Renamed, func(e journal.Event) bool { return e.MAC == nas.MAC() }) // the name is taken
	h.wantMetric(2, `nightporter_registrations_total`)
}

// TestConfiguredMachineRegistersWithItsMACAlone: the configuration has the rest.
func TestConfiguredMachineRegistersWithItsMACAlone(t *testing.T) {
	h := open(t, fastProbe+`
machines:
- {name: tower, mac: '02:77:00:00:00:14', monitor: [{ip: 10.77.0.20, port: [22/tcp]}]}
`)
	nas := h.addNAS(nil)
	h.wantMetric(1, `nightporter_machine_state{machine="tower", state="awake"}`)
	h.register(nas.Host, `{"mac":"02:77:00:00:00:14"}`)
	h.must(nas.Sleep(h.ctx))
	h.waitMove(0, "tower", "settling", "asleep", machine.WhySilent)
	if got := h.connect(h.lan.Client(), nas4, 22); got != "nas\n" {
		t.Errorf("the service said %q", got)
	}
}

// TestConfiguredMachineRedefinition: another host cannot redefine a configured machine, also
// under trust: open. The machine itself can.
func TestConfiguredMachineRedefinition(t *testing.T) {
	t.Parallel()
	const known = `
machines:
- {name: tower, mac: '02:77:00:00:00:14', monitor: [{ip: 10.77.0.20, port: [22/tcp]}], wake_from: [10.77.0.0/24], password: '192.0.2.1'}
`
	for trust, rule := range map[string]string{
		"open":      "registration: {trust: open}\n",
		"allowlist": "registration: {trust: allowlist, allow: ['02:77:00:00:00:14', '02:77:00:00:00:0a']}\n",
	} {
		t.Run(trust, func(t *testing.T) {
			h := open(t, fastProbe+rule+known)
			nas, client := h.addNAS(nil), h.lan.Client()
			if client.MAC().String() != "02:77:00:00:00:0a" {
				t.Fatalf("the client is %v", client.MAC())
			}
			said := func(rest string) string { return `{"mac":"02:77:00:00:00:14"` + rest + `}` }
			const only = "only 02:77:00:00:00:14 itself"
			for rest, words := range map[string][]string{
				`,"name":"thief"`: {"name", `found "thief"`, `expected "tower"`, only},
				`,"monitor":[{"ip":"10.77.0.20","port":["22/tcp"]},{"ip":"fd77::20","port":[]}]`: {"monitor[1].ip", "found fd77::20", "expected 10.77.0.20", only},
				`,"monitor":[{"ip":"10.77.0.20","port":[]}]`:                                     {"monitor[0].port", "found no 22/tcp", only},
				`,"password":"192.0.2.2"`:                                                        {"password", only},
				`,"wake_from":["0.0.0.0/0"]`:                                                     {"wake_from", "found 0.0.0.0/0", "expected 10.77.0.0/24", only},
				`,"wake_from":[]`:                                                                {"wake_from", "found no 10.77.0.0/24", only},
				`,"name":"tower","sleep_watts":1`:                                                {"sleep_watts", "found 1", "expected 2", only},
			} {
				h.wantRefused(client, said(rest), words...)
			}
			h.wantRefused(client, registration("me", client.MAC(), monitored{nas4, []any{22}}), "monitor[0].ip", "10.77.0.20", "tower") // its address
			h.wantMetric(8, `nightporter_registrations_rejected_total{reason="refused"}`)
			h.wantMetric(1, `nightporter_machine_state{machine="tower", state="awake"}`)
			e, err := h.daemon.Log.Wait(h.ctx, 0, func(e labdaemon.Entry) bool { return e.Message == "registration refused" })
			h.must(err)
			if !contains(e.Field("peer"), client.Addr4().String()) || !contains(e.Field("reason"), "expected") {
				t.Errorf("logged %q, %q", e.Field("peer"), e.Field("reason"))
			}

			h.register(client, said("")) // repeats the configuration
			h.register(client, said(`,"password":"192.0.2.1","wake_from":["10.77.0.0/24"]`))
			h.register(nas.Host, said(`,"name":"mine","monitor":[{"ip":"10.77.0.20","port":[80]},{"ip":"fd77::20","port":[]}],"wake_from":[],"password":"192.0.2.3"`))
			h.wantMetric(1, `nightporter_machine_state{machine="mine", state="settling"}`)
		})
	}
}

// TestRateLimits: the answer to one request too many says when to try again, and other sources
// are served.
func TestRateLimits(t *testing.T) {
	const slowly = "registration: {rate: 2, trust: open}\nhttp: {rate: 2}\n"
	h := open(t, fastProbe+slowly)
	nas := h.addNAS(nil)
	client := h.lan.Client()
	h.wantRefused(client, "garbage")
	h.wantRefused(client, nasRegistration(nas), "too many registrations from "+client.MAC().String(), "registration.rate", "at most 2 a minute", "try again")
	h.register(nas.Host, nasRegistration(nas))
	h.wantMetric(1, `nightporter_registrations_rejected_total{reason="limited"}`)

	wake := func(want int) {
		t.Helper()
		status, text, err := h.daemon.Post(h.ctx, "/api/v1/machines/nas/wake")
		h.must(err)
		if status != want || want == 429 && !contains(text, "http.rate", "try again") {
			t.Errorf("wake answered %d %s, want %d", status, text, want)
		}
	}
	wake(202)
	wake(429)
	h.reload(fastProbe+"registration: {rate: 0, trust: open}\nhttp: {rate: 0}\n", "configuration reloaded")
	wake(202)
	wake(202)
	h.register(client, nasRegistration(nas))
}

// TestToken: a registration without the token is refused, and the log does not show the token.
func TestToken(t *testing.T) {
	const token = "open sesame"
	h := open(t, "registration: {token: "+token+"}\n")
	nas := h.addNAS(nil)
	with := func(token string) string {
		return strings.Replace(nasRegistration(nas), "{", `{"token":"`+token+`",`, 1)
	}
	h.wantRefused(nas.Host, nasRegistration(nas), "token: missing")
	h.wantRefused(nas.Host, with("open sesam"), "token: not the one")
	h.register(nas.Host, with(token))
	h.reload("registration: {token: "+token+"!}\n", "configuration reloaded")
	h.wantRefused(nas.Host, with(token), "token: not the one")
	if strings.Contains(h.daemon.Log.Text(), "sesam") {
		t.Errorf("the log shows a token:\n%s", h.daemon.Log.Text())
	}
}

// TestRegisterCommand: the command registers its own machine with the addresses that it finds.
func TestRegisterCommand(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	out, err := h.runOn(nas.Host, "register", "--to", h.lan.Porter().Addr4().String(), "--name", "nas", "--port", "22/tcp,icmp")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	h.must(nas.Sleep(h.ctx))
	h.waitMove(0, "nas", "settling", "asleep", machine.WhySilent)
	h.must(h.lan.Client().Ping(h.within(20*time.Second), nas6))
	h.waitMove(0, "nas", "asleep", "waking", machine.WhyKnock)

	if out, err := h.runOn(h.lan.Client(), "register", "--to", h.lan.Porter().Addr4().String(),
		"--mac", nas.MAC().String(), "--monitor", "10.77.0.20=22"); err == nil {
		t.Errorf("a refused registration exits with 0: %s", out)
	}
}

// TestReload: SIGHUP changes keys that may change during a claim. An invalid file changes
// nothing.
func TestReload(t *testing.T) {
	const slow = "wake: {attempts: 1, interval: 30s}\n"
	h := open(t, fastProbe+slow)
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	e := h.reload(fastProbe+"wake: {attempts: -1}\n", "configuration not reloaded, keeping the old one")
	if got := e.Field("err"); !contains(got, "wake.attempts", "-1") {
		t.Errorf("the error is %q", got)
	}
	h.wantMetric(1, `nightporter_machine_state{machine="nas", state="asleep"}`)
	h.wantMetric(0, "nightporter_config_last_reload_successful")
	h.wantNeighbor(h.lan.Client(), nas4, h.lan.Porter().MAC())

	e = h.reload(fastProbe+"wake: {attempts: 2, interval: 200ms, from: [192.0.2.1]}\n", "configuration reloaded")
	if file, known := e.Field("machines_in_file"), e.Field("machines_known"); file != "0" || known != "1" {
		t.Errorf("%s machines in the file and %s known, want 0 and 1", file, known)
	}
	h.wantMetric(1, "nightporter_config_last_reload_successful")
	conn := h.startConnecting(h.lan.Client(), nas4, 22)
	defer conn.cancel()
	h.wantNeighbor(h.lan.Client(), nas4, h.lan.Porter().MAC())
	status, _, err := h.daemon.Post(h.ctx, "/api/v1/machines/nas/wake")
	h.must(err)
	if status != 202 {
		t.Errorf("wake answered %d", status)
	}
	h.waitMove(0, "nas", "asleep", "waking", machine.WhyRequested) // the knock did not wake it
	e = h.reload(fastProbe+"claim: {guard: 'off'}\n", "these keys changed, but take effect only after a restart")
	if got := e.Field("keys"); !contains(got, "claim.guard") {
		t.Errorf("keys %q", got)
	}
	// A reload of the running values needs no restart.
	h.reload(fastProbe, "configuration reloaded")
	h.reload(fastProbe+"claim: {guard: 'off'}\n", "these keys changed, but take effect only after a restart")
	asked := strings.Count(h.daemon.Log.Text(), "only after a restart")
	if asked != 2 {
		t.Errorf("asked %d times for a restart, want 2", asked)
	}
}
