package e2e

import (
	"context"
	"encoding/json"
	"html"
	"net/netip"
	"strings"
	"testing"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/journal"
	"nightporter/internal/lab"
	"nightporter/internal/machine"
	"nightporter/internal/web"
)

// wantIgnored waits for a packet that does not wake the machine. It expects the reason in the
// log, the metrics, the events, the API and the command why, which names the setting to change.
func wantIgnored(h *harness, reason machine.Suppression, inEvents, service, setting string) {
	h.Helper()
	waitSuppressed(h, 0, inEvents)
	waitMetric(h, 1, `nightporter_knocks_suppressed_total{machine="nas", reason="`+reason.String()+`"}`)
	if !hasIgnoredEvent(h, inEvents, service) {
		h.Errorf("no event %s for %s", inEvents, service)
	}
	_, body, err := h.daemon.Get(h.ctx, "/api/v1/machines/nas")
	h.must(err)
	var shown web.Machine
	h.must(json.Unmarshal([]byte(body), &shown))
	found := false
	for _, i := range shown.Ignored {
		found = found || i.Reason == reason.String() && i.Service == service && i.Count > 0 && i.Source.IsValid()
	}
	if !found || shown.State != machine.Asleep || shown.Suppressed[reason.String()] == 0 {
		h.Errorf("the API shows %s, did not wake %v, ignored %+v; want %s for %s", shown.State, shown.Suppressed, shown.Ignored, reason, service)
	}
	if code, out := h.runCommand("why", "nas"); code != 0 || !contains(out, "asleep since", service+" from ", "-> "+setting+"\n") {
		h.Errorf("why: exit code %d, %s\nwant %s and %s", code, out, service, setting)
	}
	if _, page, err := h.daemon.Get(h.ctx, "/"); err != nil || !contains(html.UnescapeString(page), "<dt>ignored</dt><dd>", service+" from ", "<small>"+setting+"</small>") {
		h.Errorf("the page lacks %s and %s: %v", service, setting, err)
	}
	if code, out := h.runCommand("status", "nas"); code != 0 || !contains(out, "ignored ", service+" from ") {
		h.Errorf("status: exit code %d, %s", code, out)
	}
}

// hasIgnoredEvent reports whether there is an event of a packet that did not wake the machine.
func hasIgnoredEvent(h *harness, reason, service string) bool {
	h.Helper()
	code, out := h.runCommand("events", "--machine", "nas", "--json")
	if code != 0 {
		h.Fatalf("exit code %d, %s", code, out)
	}
	for line := range strings.Lines(out) {
		var e journal.Event
		h.must(json.Unmarshal([]byte(line), &e))
		if e.Kind == journal.Suppressed && e.Reason == reason && e.Service == service && e.Source.IsValid() {
			return true
		}
	}
	return false
}

// TestWhyItDoesNotWake: each packet for a sleeping machine that does not wake it has a reason.
func TestWhyItDoesNotWake(t *testing.T) {
	t.Parallel()
	only := registration("nas", ether.MAC{}, monitored{nas4, []any{"22/tcp"}}, monitored{nas6, []any{"22/tcp"}})
	for _, c := range []struct {
		name, conf string
		register   string // without the MAC; empty: everything
		act        func(h *harness, ip netip.Addr)
		reason     machine.Suppression
		inEvents   string
		port       string
		setting    string // HOST is the client's address as a prefix
	}{
		{"port", "", "", func(h *harness, ip netip.Addr) { h.startConnecting(h.lan.Client(), ip, 445) },
			machine.PortNotRegistered, "port", "445/tcp", "add 445/tcp to the machine's ports"},
		{"ping", "", only, func(h *harness, ip netip.Addr) { _ = h.lan.Client().Ping(h.within(time.Second), ip) }, // no host answers
			machine.PingNotRegistered, "ping", "icmp", "add icmp to the machine's ports"},
		{"wake.from", `wake: {from: ["192.0.2.0/24", "2001:db8::/32"]}` + "\n", "", func(h *harness, ip netip.Addr) { h.startConnecting(h.lan.Client(), ip, 22) },
			machine.SourceNotAllowed, "source", "22/tcp", "add HOST to wake.from"},
		{"wake_from", "", strings.TrimSuffix(only, "}") + `,"wake_from":["192.0.2.0/24"]}`, func(h *harness, ip netip.Addr) { h.startConnecting(h.lan.Client(), ip, 22) },
			machine.SourceNotAllowed, "source", "22/tcp", "add HOST to the machine's wake_from"},
		{"quiet_hours", quietAlways, "", func(h *harness, ip netip.Addr) { h.startConnecting(h.lan.Client(), ip, 22) },
			machine.InQuietHours, "wake.quiet_hours", "22/tcp", "change wake.quiet_hours"},
		{"min_knocks", "wake: {min_knocks: 5}\n", "", func(h *harness, ip netip.Addr) { sendDatagrams(h, dialGame(h, h.lan.Client(), ip), "once") },
			machine.TooFewKnocks, "wake.min_knocks", "27015/udp", "set wake.min_knocks: 1"},
		{"cooldown", "wake: {cooldown: 1m}\n", "", func(h *harness, ip netip.Addr) { sendDatagrams(h, dialGame(h, h.lan.Client(), ip), "going on") },
			machine.WhileCooling, "wake.cooldown", "27015/udp", "set wake.cooldown: 0s"},
		{"failed_wakes", "wake: {attempts: 2, interval: 300ms}\n", "", failTwice,
			machine.AfterFailures, "failed_wakes", "27015/udp", "check the machine's power, cable and Wake-on-LAN; a requested wake is tried at once"},
	} {
		for _, ip := range []netip.Addr{nas4, nas6} {
			t.Run(c.name+"/"+ip.String(), func(t *testing.T) {
				h := open(t, fastProbe+c.conf)
				nas := h.addNAS(func(m *lab.MachineConfig) { m.IgnoreMagic = lab.IgnoreAll })
				text := nasRegistration(nas)
				if c.register != "" {
					text = strings.Replace(c.register, ether.MAC{}.String(), nas.MAC().String(), 1)
				}
				h.must(sleepRegisteredAs(h.ctx, h, nas, text))
				c.act(h, ip)
				from := clientAddr(h.lan.Client(), ip)
				setting := strings.ReplaceAll(c.setting, "HOST", netip.PrefixFrom(from, from.BitLen()).String())
				wantIgnored(h, c.reason, c.inEvents, serviceAt(ip, c.port), setting)
			})
		}
	}
}

// serviceAt formats a service as events do.
func serviceAt(ip netip.Addr, port string) string {
	ports, err := machine.ParsePort(port)
	if err != nil {
		panic(err) // of our own making
	}
	return machine.Service{Addr: ip, Port: ports[0]}.String()
}

// failTwice knocks until two wakes have failed, and then once more.
func failTwice(h *harness, ip netip.Addr) {
	conn := dialGame(h, h.lan.Client(), ip)
	for range 2 {
		n := h.daemon.Log.Len()
		sendDatagrams(h, conn, "get up")
		h.waitMove(n, "nas", "waking", "asleep", machine.WhyAttemptsGone)
	}
	sendDatagrams(h, conn, "get up")
}

// TestWhyAnOldConnectionDoesNotWake: packets of a connection from before the sleep do not wake.
func TestWhyAnOldConnectionDoesNotWake(t *testing.T) {
	t.Parallel()
	for _, ip := range []netip.Addr{nas4, nas6} {
		t.Run(ip.String(), func(t *testing.T) {
			h := open(t, fastProbe)
			nas := h.addNAS(func(m *lab.MachineConfig) { m.Suspend = true })
			client := h.lan.Client()
			old := h.call(client, nas, ip, 22)
			h.putToSleep(nas)
			h.waitNeighbor(client, ip, h.lan.Porter().MAC())
			_, err := old.conn.Write([]byte("still there?"))
			h.must(err)
			wantIgnored(h, machine.OldConnection, "wake.established", serviceAt(ip, "22/tcp"), "set wake.established: true")
		})
	}
}

// TestWhyOwnProgramsDoNotWake: packets of a program on the porter's own host do not wake. They
// are never on the wire.
func TestWhyOwnProgramsDoNotWake(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		for _, ip := range []netip.Addr{nas4, nas6} {
			t.Run(mode.name+"/"+ip.String(), func(t *testing.T) {
				h := open(t, fastProbe+mode.conf)
				nas, porter := h.addNAS(nil), h.lan.Porter()
				h.putToSleep(nas)
				// The kernel's neighbor entry from before the sleep would stay valid for up to
				// a minute.
				h.must(porter.ForgetNeighbor(ip))
				ctx, cancel := context.WithCancel(h.ctx)
				defer cancel()
				tries := keepConnecting(ctx, porter, netip.AddrPortFrom(ip, 22))
				service, setting := ip.String(), "set wake.local: true, and restart nightporter"
				if mode.name == "bind" {
					service, setting = serviceAt(ip, "22/tcp"), "set claim.mode: responder and wake.local: true, and restart nightporter"
				}
				wantIgnored(h, machine.FromThisHost, "wake.local", service, setting)
				if nas.MagicCount() != 0 {
					t.Error("it was woken")
				}
				cancel()
				<-tries
			})
		}
	}
}

// keepConnecting lets a host try to connect until ctx ends, and then closes ended.
func keepConnecting(ctx context.Context, from *lab.Host, to netip.AddrPort) (ended <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		again := time.NewTicker(200 * time.Millisecond)
		defer again.Stop()
		for {
			if conn, err := from.Dial(ctx, "tcp", to.String()); err == nil {
				conn.Close()
			}
			select {
			case <-again.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return done
}

// TestNothingIgnoredAwake: a sleep and a wake have no ignored packet. The porter's own probes
// and registrations do not count.
func TestNothingIgnoredAwake(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	n := h.daemon.Log.Len()
	c := h.call(h.lan.Client(), nas, nas4, 22)
	h.waitMove(n, "nas", "arriving", "awake", machine.WhyReady)
	wantEcho(h, c.conn, 1<<10)
	h.startConnecting(h.lan.Client(), nas4, 445)
	h.call(h.lan.Porter(), nas, nas4, 22)
	wantSuppressed(h, "", 0, 1)
	code, out := h.runCommand("why", "nas")
	if code != 0 || !contains(out, "awake since", "for 10.77.0.10 at 10.77.0.20:22/tcp: ready after", "what keeps it awake is not known") || strings.Contains(out, "ignored") {
		t.Errorf("exit code %d, %s", code, out)
	}
}

// TestWakeOfAnAwakeMachine: the event names the requester, and no wake is counted.
func TestWakeOfAnAwakeMachine(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	n := h.daemon.Log.Len()
	h.call(h.lan.Client(), nas, nas4, 22)
	h.waitMove(n, "nas", "arriving", "awake", machine.WhyReady)
	_, before := h.runCommand("events", "--machine", "nas")
	attempts := h.metric(`nightporter_machine_wake_attempts_total{machine="nas"}`)
	if code, out := h.runCommand("wake", "nas"); code != 0 {
		t.Fatalf("exit code %d, %s", code, out)
	}
	_, after := h.runCommand("events", "--machine", "nas")
	told := strings.TrimPrefix(after, before)
	if strings.Count(told, "\n") != 1 || !contains(told, "wake requested by 10.77.0.", " while it counts as awake: one magic packet sent") {
		t.Errorf("new events\n%s", told)
	}
	h.wantMetric(0, `nightporter_machine_wakes_total{machine="nas", trigger="api"}`)
	h.wantMetric(attempts, `nightporter_machine_wake_attempts_total{machine="nas"}`)
}
