package e2e

import (
	"html"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
)

// TestStartWithoutNetwork: a daemon that starts before its network reports what it waits for,
// and works once the network is there.
func TestStartWithoutNetwork(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, conf, waits string }{
		{"no default route", "", "no default route; to watch a certain interface, name it in interfaces (there are: none)"},
		{"no default route, bind mode", "claim: {mode: bind}\n", "no default route; to watch a certain interface, name it in interfaces (there are: none)"},
		{"no interface", "interfaces: eth0\n", "interface eth0 does not exist (existing: none): nightporter waits for it; to use another one, change interfaces and restart"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h, late := withoutNetwork(t, fastProbe+c.conf)
			wantWaiting(h, c.waits)
			wantWaitingShown(h, c.waits)
			n := h.daemon.Log.Len()
			h.must(h.lan.RestoreLink(late))
			h.waitInterfaceEvent(n, isBack, lab.Interface)
			wantReadyInside(h)
			ready, err := h.daemon.Log.Wait(h.within(5*time.Second), n, labdaemon.Is("ready"))
			h.must(err)
			if !contains(ready.Field("interfaces"), lab.Interface+" 10.77.0.66/24") || ready.Field("unavailable") != "" {
				t.Errorf("ready: %+v", ready.Fields)
			}
			nas := h.addNAS(nil)
			h.putToSleep(nas)
			h.call(h.lan.Client(), nas, nas4, 22)
			h.putToSleep(nas)
			h.call(h.lan.Client(), nas, nas6, 22)
		})
	}
}

// TestResumeWithoutNetwork: a sleeping machine is claimed again after the daemon crashed and
// started before its network.
func TestResumeWithoutNetwork(t *testing.T) {
	t.Parallel()
	h, late := withoutNetwork(t, fastProbe)
	h.must(h.lan.RestoreLink(late))
	h.waitInterfaceEvent(0, isBack, lab.Interface)
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	h.waitStored("asleep", 1)
	h.daemon.Kill()
	h.must(late.RemoveLink(lab.Interface))
	d, err := h.daemon.AgainUntil(h.ctx, fastProbe, "/-/healthy")
	h.must(err)
	h.daemon = d
	h.killAtEnd(d)
	wantWaiting(h, "no default route")
	h.must(h.lan.RestoreLink(late))
	h.call(h.lan.Client(), nas, nas4, 22)
}

// withoutNetwork starts a daemon on a host without its interface.
func withoutNetwork(t *testing.T, conf string) (*harness, *lab.Host) {
	t.Helper()
	ctx, network := newLAN(t)
	late, err := network.AddHost("late", netip.MustParsePrefix("10.77.0.66/24"), netip.MustParsePrefix("fd77::66/64"))
	if err == nil {
		err = late.RemoveLink(lab.Interface)
	}
	if err != nil {
		t.Fatal(err)
	}
	d, err := labdaemon.Start(ctx, network, t.TempDir(), labdaemon.Options{Exe: os.Args[0], Env: programEnv, Host: late, Config: conf, Await: "/-/healthy"})
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{TB: t, ctx: ctx, lan: network, daemon: d}
	h.killAtEnd(d)
	return h, late
}

// wantWaiting compares the reason that a daemon without a network reports.
func wantWaiting(h *harness, reason string) {
	h.Helper()
	var status int
	var body string
	for deadline := time.Now().Add(5 * time.Second); !strings.Contains(body, reason) && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		var err error
		status, body, err = h.daemon.GetInside(h.within(5*time.Second), "/-/ready")
		h.must(err)
	}
	if status != http.StatusServiceUnavailable || !strings.Contains(body, reason) {
		h.Errorf("/-/ready: %d %q, want 503 with %q", status, body, reason)
	}
	if _, err := h.daemon.Log.Wait(h.within(5*time.Second), 0, func(e labdaemon.Entry) bool {
		return e.Event() == isOut && strings.Contains(e.Field("reason"), "there are: none")
	}); err != nil {
		h.Error("the log does not say that it waits:", err)
	}
	for _, page := range []string{"/", "/metrics", "/api/v1/machines"} {
		if status, _, err := h.daemon.GetInside(h.within(5*time.Second), page); err != nil || status != http.StatusOK {
			h.Errorf("%s: %d, %v", page, status, err)
		}
	}
}

// wantWaitingShown expects that the log does not call the daemon ready, and that the page has
// the reason.
func wantWaitingShown(h *harness, reason string) {
	h.Helper()
	e, err := h.daemon.Log.Wait(h.within(5*time.Second), 0, func(e labdaemon.Entry) bool { return e.Event() == "waiting" || e.Event() == "ready" })
	h.must(err)
	if e.Event() != "waiting" || !strings.Contains(e.Field("reason"), reason) {
		h.Errorf("logged %q: %+v", e.Message, e.Fields)
	}
	if _, page, err := h.daemon.GetInside(h.within(5*time.Second), "/"); err != nil || !contains(page, "Not ready:", html.EscapeString(reason)) {
		h.Errorf("the page does not say why it is not ready: %v", err)
	}
}

// TestStartWithoutOneInterface: the daemon works on the existing interface, and reports the
// missing one.
func TestStartWithoutOneInterface(t *testing.T) {
	t.Parallel()
	ctx, network := newLAN(t)
	d, err := labdaemon.Start(ctx, network, t.TempDir(), labdaemon.Options{
		Exe: os.Args[0], Env: programEnv, Config: fastProbe + "interfaces: [eth0, eth9]\n", Await: "/-/healthy",
	})
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{TB: t, ctx: ctx, lan: network, daemon: d}
	h.killAtEnd(d)
	ready, err := h.daemon.Log.Wait(h.within(5*time.Second), 0, labdaemon.Is("ready"))
	h.must(err)
	if !contains(ready.Field("interfaces"), "eth0 10.77.0.2/24") || !contains(ready.Field("unavailable"), "interface eth9 does not exist") {
		t.Errorf("ready: %+v", ready.Fields)
	}
	if code, out := h.runCommand("status"); code != 1 || !contains(out, "not ready", "eth9") {
		t.Errorf("status: exit code %d, %s", code, out)
	}
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	h.call(h.lan.Client(), nas, nas4, 22)
}

func wantReadyInside(h *harness) {
	h.Helper()
	if status, body, err := h.daemon.GetInside(h.within(5*time.Second), "/-/ready"); err != nil || status != http.StatusOK {
		h.Errorf("/-/ready: %d %q, %v, want 200", status, body, err)
	}
}
