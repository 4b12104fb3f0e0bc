package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/lab"
	"nightporter/internal/machine"
)

// addMachineBeside adds a machine beside nas, at 10.77.0.n and fd77::n.
func addMachineBeside(h *harness, name string, n int) *lab.Machine {
	h.Helper()
	return h.addNAS(func(c *lab.MachineConfig) {
		c.Name = name
		c.Addrs = []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.77.0.%d/24", n)), netip.MustParsePrefix(fmt.Sprintf("fd77::%d/64", n))}
	})
}

// wantsSSH returns a registration for SSH at all addresses of a machine. An empty name is left
// out, as clients of Wakupator may do.
func wantsSSH(name string, m *lab.Machine) string {
	b := registration(name, m.MAC(), monitored{m.Addr4(), []any{22}}, monitored{m.Addr6(), []any{22}})
	return strings.Replace(b, `,"name":""`, "", 1)
}

// wantAsleepAs registers a machine, lets it sleep, and expects that it is claimed under a name.
func wantAsleepAs(h *harness, name string, m *lab.Machine, registration string) {
	h.Helper()
	n := h.daemon.Log.Len()
	h.register(m.Host, registration)
	h.must(m.Sleep(h.ctx))
	h.waitMove(n, name, "settling", "asleep", machine.WhySilent)
}

// TestAttackTakenNames: another host registers with the name of a machine, or with its MAC
// address as a name, before that machine does. Both are claimed, and both are woken by a
// connection. Both registrations are answered OK. The names survive a restart.
func TestAttackTakenNames(t *testing.T) {
	h := openFor(t, fastProbe, 2*time.Minute)
	evil, nas, old := addMachineBeside(h, "evil", 30), h.addNAS(nil), addMachineBeside(h, "old", 40)
	h.register(evil.Host, wantsSSH(old.MAC().String(), evil))
	wantAsleepAs(h, "nas", evil, wantsSSH("nas", evil))
	wantAsleepAs(h, "nas-2", nas, wantsSSH("nas", nas))
	wantAsleepAs(h, old.MAC().String(), old, wantsSSH("", old))
	var told []string
	for _, e := range h.events("", journal.Renamed) {
		told = append(told, fmt.Sprintf("%s, %s: %s%s", e.Machine, e.MAC, e.Reason, e.By))
	}
	want := []string{
		fmt.Sprintf("%s, %[1]s: the name %q is the MAC address of another machine", evil.MAC(), old.MAC()),
		fmt.Sprintf("nas, %s: %[1]s", evil.MAC()), // by its own MAC
		fmt.Sprintf("nas-2, %s: the name \"nas\" belongs to %s already (`nightporter forget nas` on the porter)", nas.MAC(), evil.MAC()),
	}
	if fmt.Sprint(told) != fmt.Sprint(want) {
		t.Errorf("renamed %q, want %q", told, want)
	}
	h.daemon.Kill()
	h.restart(fastProbe)
	client := h.lan.Client()
	for name, m := range map[string]*lab.Machine{"nas": evil, "nas-2": nas, old.MAC().String(): old} {
		h.waitReclaimed(name)
		if got := h.connect(client, m.Addr4(), 22); !strings.Contains(got, m.Name()) {
			t.Errorf("%s said %q", m.Name(), got)
		}
		h.wantMetric(1, `nightporter_machine_wakes_total{machine=%q, trigger="tcp"}`, name)
	}
}

// TestAttackNameOfTheConfiguration: a host registers with a name that the operator then gives
// to another machine. The reload succeeds, and both machines stay claimed.
func TestAttackNameOfTheConfiguration(t *testing.T) {
	h := open(t, fastProbe)
	evil := addMachineBeside(h, "evil", 30)
	wantAsleepAs(h, "nas", evil, wantsSSH("nas", evil))
	nas := h.addNAS(nil)
	h.reload(fastProbe+fmt.Sprintf("machines: [{name: nas, mac: %q, monitor: [{ip: %s, port: [22]}]}]\n", nas.MAC(), nas4), "configuration reloaded")
	wantAsleepAs(h, "nas", nas, wantsSSH("", nas))
	h.wantNeighbor(h.lan.Client(), evil.Addr4(), h.lan.Porter().MAC())
	h.connect(h.lan.Client(), evil.Addr4(), 22)
	h.wantMetric(1, `nightporter_machine_wakes_total{machine="nas-2", trigger="tcp"}`)
	h.connect(h.lan.Client(), nas4, 22)
	h.wantMetric(1, `nightporter_machine_wakes_total{machine="nas", trigger="tcp"}`)
}

// TestAttackNoiseBeforeAFailedWake: forged ARP replies and advertisements, as many as
// notify.rate allows messages in an hour, come before a wake that fails. The message about the
// wake is delivered.
func TestAttackNoiseBeforeAFailedWake(t *testing.T) {
	t.Parallel()
	const crowd = 14
	for name, c := range map[string]struct{ senders, messages int }{"one sender": {1, 1}, "a sender for each": {crowd, 2}} {
		t.Run(name, func(t *testing.T) {
			ctx, home := newLAN(t)
			hook := newWebhook(t, home.Porter())
			h := openOn(ctx, t, home, fastProbe+"registration: {trust: open}\nwake: {attempts: 3, interval: 200ms}\n"+fmt.Sprintf("notify: {urls: [%q]}\n", hook.url))
			client := h.lan.Client()
			ip := func(i int) netip.Addr { // of both families
				if i%2 == 1 {
					return netip.MustParseAddr(fmt.Sprintf("fd77::1:%x", i))
				}
				return netip.AddrFrom4([4]byte{10, 77, 0, byte(100 + i)})
			}
			n := h.daemon.Log.Len()
			for i := range crowd {
				h.register(client, registration(fmt.Sprint("m", i), ether.MAC{2, 0x90, 0, 0, 0, byte(i)}, monitored{ip(i), []any{22}}))
			}
			for i := range crowd {
				h.waitMove(n, fmt.Sprint("m", i), "settling", "asleep", machine.WhySilent)
			}
			h.putToSleep(h.addNAS(func(c *lab.MachineConfig) { c.IgnoreMagic = lab.IgnoreAll }))
			forger := h.addClient("forger", 66)
			n = h.daemon.Log.Len()
			for i := range crowd {
				mac := ether.MAC{2, 0x66, 0, 0, 0, byte(i % c.senders)}
				claim := forger.Forge(mac).ARPReply
				if ip(i).Is6() {
					claim = forger.Forge(mac).Advertise
				}
				h.must(claim(ip(i)))
				_, err := h.daemon.Log.Wait(h.within(10*time.Second), n, isConflict(ip(i), mac))
				h.must(err)
			}
			failWake(h, client, nas4)
			for range c.messages {
				if m := nextMessage(h, hook); !strings.HasPrefix(m.Title, "Address conflict at m") {
					t.Errorf("received %+v", m)
				}
			}
			if m := nextMessage(h, hook); m.Title != "nas did not wake" || !contains(m.Message, fmt.Sprintf("not sent because of notify.rate: %d conflict (m", crowd-c.messages)) {
				t.Errorf("received %+v", m)
			}
		})
	}
}

// TestAttackSecretsInTheLog: an operator reloads configurations in which secrets are mistyped.
// No secret is in the log at its finest level, or in the output of check.
func TestAttackSecretsInTheLog(t *testing.T) {
	const secret, right = "S3cretTOKENvalue", "R1ghtTOKENvalue"
	h := open(t, fastProbe+"registration: {token: "+right+"}\nhttp: {token: "+right+"}\n")
	for _, bad := range []string{
		"registration: {token: &" + secret + " }\n", "registration: {token: *" + secret + " }\n", "registration:\n  token: #" + secret + "\n", "registration:\n  token: !" + secret + "\n",
		"registration: {token: !!int " + secret + " }\n", "registration: {token:" + secret + "}\n", "notify: {urls: [" + secret + "]}\n", "http: {token: a," + secret + "}\n",
	} {
		h.reload(fastProbe+bad, "configuration not reloaded, keeping the old one")
		out, err := h.runOn(h.lan.Porter(), "check", "--config", h.daemon.Dir()+"/config.yaml")
		if err == nil || strings.Contains(out, secret) {
			t.Errorf("check of %q: %v\n%s", bad, err, out)
		}
	}
	nas := h.addNAS(nil)
	h.wantRefused(nas.Host, nasRegistration(nas), "token")
	h.wantRefused(nas.Host, strings.Replace(nasRegistration(nas), "{", `{"token":"`+secret+`",`, 1), "token")
	h.register(nas.Host, strings.Replace(nasRegistration(nas), "{", `{"token":"`+right+`",`, 1))
	_, status, err := h.daemon.Get(h.within(5*time.Second), "/api/v1/machines")
	h.must(err)
	if log := h.daemon.Log.Text() + status; strings.Contains(log, secret) || strings.Contains(log, right) {
		t.Error("a secret is in the log")
	}
}
