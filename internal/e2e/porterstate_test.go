package e2e

import (
	"strings"
	"testing"
	"time"

	"nightporter/internal/journal"
	"nightporter/internal/web"
)

// porterStatus is what the API tells of the porter.
func (h *house) porterStatus() web.Status {
	h.Helper()
	var s web.Status
	h.inside("/api/v1/status", &s)
	return s
}

// TestReloadFailureIsShown: a configuration that cannot be reloaded is shown by the API,
// by the command, on the page and by an event, until one is that can be.
func TestReloadFailureIsShown(t *testing.T) {
	h := open(t, brisk)
	before := h.porterStatus().Config
	if !before.Healthy || before.Reason != "" || time.Since(before.Loaded) > time.Minute {
		t.Errorf("before: %+v", before)
	}
	h.reload(brisk+"wake: {attempts: none}\n", "configuration not reloaded, the old one stays")
	failed := h.porterStatus().Config
	if failed.Healthy || !contains(failed.Reason, "wake.attempts", "line ") || !failed.Loaded.Equal(before.Loaded) {
		t.Errorf("after a bad one: %+v", failed)
	}
	if e := h.told("", journal.ReloadFailed, func(journal.Event) bool { return true }); !contains(e.Reason, "wake.attempts", "line ") {
		t.Errorf("event %+v", e)
	}
	since := before.Loaded.Local().Format("15:04")
	if code, out := h.asked("status"); code != 0 || !contains(out, "wake.attempts", "goes on with the configuration", since) {
		t.Errorf("status: exit code %d, %s", code, out)
	}
	if page := h.pageShows(); !contains(page, "Configuration not reloaded", "wake.attempts", "goes on with the configuration", since) {
		t.Errorf("the page does not tell of it")
	}

	h.reload(brisk, "configuration reloaded")
	if s := h.porterStatus().Config; !s.Healthy || s.Reason != "" || !s.Loaded.After(before.Loaded) {
		t.Errorf("after a good one: %+v", s)
	}
	h.told("", journal.Reloaded, func(journal.Event) bool { return true })
	if _, out := h.asked("status"); strings.Contains(out, "wake.attempts") {
		t.Errorf("status: %s", out)
	}
	if strings.Contains(h.pageShows(), "Configuration not reloaded") {
		t.Error("the page still tells of it")
	}
}

// TestRestartThatIsNeededIsShown by the API, the command, the page and why, also after a
// reload that failed, until nothing waits for one.
func TestRestartThatIsNeededIsShown(t *testing.T) {
	h := open(t, brisk)
	nas := h.nas(nil)
	h.register(nas.Host, everything(nas))
	local := brisk + "wake: {local: true}\n"
	h.reload(local, "these keys changed, but take effect only after a restart")
	const command, page = "restart nightporter for wake.local, of which", "a change of wake.local takes effect only then."
	shown := func(want bool) {
		t.Helper()
		if got := len(h.porterStatus().Config.Restart) == 1; got != want {
			t.Errorf("shown by the API: %v, want %v", got, want)
		}
		if code, out := h.asked("status"); code != 0 || strings.Contains(out, command) != want {
			t.Errorf("shown by the command: %s; want %v", out, want)
		}
		if strings.Contains(h.pageShows(), page) != want {
			t.Errorf("shown on the page: %v", !want)
		}
		if _, out := h.asked("why", "nas"); strings.Contains(out, "restart nightporter: wake.local: true is set already") != want {
			t.Errorf("shown by why: %s; want %v", out, want)
		}
	}
	shown(true)
	h.reload(local+"hold: {packets: none}\n", "configuration not reloaded, the old one stays")
	shown(true)
	h.reload(brisk, "configuration reloaded")
	shown(false)
}

// TestStartIsAnEvent: each start of the porter is an event, which says whether the run
// before it ended in order.
func TestStartIsAnEvent(t *testing.T) {
	h := open(t, brisk)
	nas := h.nas(nil)
	h.putToSleep(nas)
	if e := h.started(1); e.Reason != "" || e.Machines != 0 || e.Version == "" {
		t.Errorf("first start: %+v", e)
	}
	_, err := h.d.Stop(h.within(5 * time.Second))
	h.must(err)
	h.again(brisk)
	if e := h.started(2); e.Reason != "" || e.Machines != 1 {
		t.Errorf("after a stop: %+v", e)
	}
	h.d.Kill()
	h.again(brisk)
	if e := h.started(3); !contains(e.Reason, "did not end in order") || e.Machines != 1 {
		t.Errorf("after a crash: %+v", e)
	}
	if _, out := h.asked("events"); !contains(out, "nightporter ", " started, knows 1 machine from before: the run before did not end in order") {
		t.Errorf("events: %s", out)
	}
}

// started returns the newest event of a start, of which there have to be n.
func (h *house) started(n int) journal.Event {
	h.Helper()
	all := h.events("", journal.Started)
	if len(all) != n {
		h.Fatalf("%d starts, want %d", len(all), n)
	}
	return all[n-1]
}

// pageShows returns the status page.
func (h *house) pageShows() string {
	h.Helper()
	status, page, err := h.d.Get(h.within(5*time.Second), "/")
	h.must(err)
	if status != 200 {
		h.Fatalf("the page answered %d", status)
	}
	return page
}
