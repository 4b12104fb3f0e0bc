package e2e

import (
	"strings"
	"testing"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/web"
)

// porterStatus returns the porter's status from the API.
func porterStatus(h *harness) web.Status {
	h.Helper()
	var s web.Status
	getInside(h, "/api/v1/status", &s)
	return s
}

// TestReloadFailureShown: the API, the command, the page and an event show a failed reload,
// until a reload succeeds.
func TestReloadFailureShown(t *testing.T) {
	h := open(t, fastProbe)
	before := porterStatus(h).Config
	if !before.Healthy || before.Reason != "" || time.Since(before.Loaded) > time.Minute {
		t.Errorf("before: %+v", before)
	}
	h.reload(fastProbe+"wake: {attempts: none}\n", "configuration not reloaded, keeping the old one")
	failed := porterStatus(h).Config
	if failed.Healthy || !contains(failed.Reason, "wake.attempts", "line ") || !failed.Loaded.Equal(before.Loaded) {
		t.Errorf("after a bad one: %+v", failed)
	}
	if e := h.waitAPIEvent("", journal.ReloadFailed, func(journal.Event) bool { return true }); !contains(e.Reason, "wake.attempts", "line ") {
		t.Errorf("event %+v", e)
	}
	since := before.Loaded.Local().Format("15:04")
	if code, out := h.runCommand("status"); code != 0 || !contains(out, "wake.attempts", "still uses the configuration", since) {
		t.Errorf("status: exit code %d, %s", code, out)
	}
	if page := getPage(h); !contains(page, "Configuration not reloaded", "wake.attempts", "The porter uses the configuration from", since) {
		t.Errorf("the page does not tell of it")
	}

	h.reload(fastProbe, "configuration reloaded")
	if s := porterStatus(h).Config; !s.Healthy || s.Reason != "" || !s.Loaded.After(before.Loaded) {
		t.Errorf("after a good one: %+v", s)
	}
	h.waitAPIEvent("", journal.Reloaded, func(journal.Event) bool { return true })
	if _, out := h.runCommand("status"); strings.Contains(out, "wake.attempts") {
		t.Errorf("status: %s", out)
	}
	if strings.Contains(getPage(h), "Configuration not reloaded") {
		t.Error("the page still tells of it")
	}
}

// TestRestartNeededShown: the API, the command, the page and why show keys that need a restart,
// also after a failed reload.
func TestRestartNeededShown(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	h.register(nas.Host, nasRegistration(nas))
	local := fastProbe + "wake: {local: true}\n"
	h.reload(local, "these keys changed, but take effect only after a restart")
	const command, page = "restart nightporter, so that changes of wake.local take effect", "a change of wake.local takes effect after a restart."
	shown := func(want bool) {
		t.Helper()
		if got := len(porterStatus(h).Config.Restart) == 1; got != want {
			t.Errorf("shown by the API: %v, want %v", got, want)
		}
		if code, out := h.runCommand("status"); code != 0 || strings.Contains(out, command) != want {
			t.Errorf("shown by the command: %s; want %v", out, want)
		}
		if strings.Contains(getPage(h), page) != want {
			t.Errorf("shown on the page: %v", !want)
		}
		if _, out := h.runCommand("why", "nas"); strings.Contains(out, "restart nightporter: wake.local: true is set already") != want {
			t.Errorf("shown by why: %s; want %v", out, want)
		}
	}
	shown(true)
	h.reload(local+"hold: {packets: none}\n", "configuration not reloaded, keeping the old one")
	shown(true)
	h.reload(fastProbe, "configuration reloaded")
	shown(false)
}

// TestStartIsAnEvent: each start of the porter is an event, which says whether the last run
// ended in order.
func TestStartIsAnEvent(t *testing.T) {
	h := open(t, fastProbe)
	nas := h.addNAS(nil)
	h.putToSleep(nas)
	if e := newestStart(h, 1); e.Reason != "" || e.Machines != 0 || e.Version == "" {
		t.Errorf("first start: %+v", e)
	}
	_, err := h.daemon.Stop(h.within(5 * time.Second))
	h.must(err)
	h.restart(fastProbe)
	if e := newestStart(h, 2); e.Reason != "" || e.Machines != 1 {
		t.Errorf("after a stop: %+v", e)
	}
	h.daemon.Kill()
	h.restart(fastProbe)
	if e := newestStart(h, 3); !contains(e.Reason, "did not end in order") || e.Machines != 1 {
		t.Errorf("after a crash: %+v", e)
	}
	if _, out := h.runCommand("events"); !contains(out, "nightporter ", " started, 1 known machine: the run before did not end in order") {
		t.Errorf("events: %s", out)
	}
}

// newestStart returns the newest event of a start, and expects n of them.
func newestStart(h *harness, n int) journal.Event {
	h.Helper()
	all := h.events("", journal.Started)
	if len(all) != n {
		h.Fatalf("%d starts, want %d", len(all), n)
	}
	return all[n-1]
}

// getPage returns the status page.
func getPage(h *harness) string {
	h.Helper()
	status, page, err := h.daemon.Get(h.within(5*time.Second), "/")
	h.must(err)
	if status != 200 {
		h.Fatalf("the page answered %d", status)
	}
	return page
}
