package web_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
	"nightporter/internal/web"
)

// TestActionsWithABody: what a request carries reaches the backend, and what is wrong with
// it does nothing.
func TestActionsWithABody(t *testing.T) {
	const nasPath = "/api/v1/machines/nas"
	for _, tt := range []struct {
		method, path, body string
		status             int
		answer, done       string
	}{
		{"POST", nasPath + "/wake", `{"test": true}`, 202, `"name":"nas"`, "test nas"},
		{"POST", nasPath + "/wake", `{"test": false}`, 202, `"name":"nas"`, "wake nas"},
		{"POST", nasPath + "/wake", `anything`, 202, `"name":"nas"`, "wake nas"},
		{"POST", nasPath + "/wake", `{"tset": true}`, 400, `unknown field \"tset\"`, ""},
		{"POST", nasPath + "/wake", `{"test": true}` + strings.Repeat(" ", 5000), 400, `more than 4096 bytes`, ""},
		{"POST", nasPath + "/pause", `{"for": "2h"}`, 200, `"name":"nas"`, "pause until 2026-01-02 02:00:10 nas"},
		{"POST", nasPath + "/pause", `{"until": "2026-01-03T08:00:00Z"}`, 200, `"name":"nas"`, "pause until 2026-01-03 08:00:00 nas"},
		{"POST", nasPath + "/pause", "", 400, `expected {\"for\": \"2h\"}`, ""},
		{"POST", nasPath + "/pause", strings.Repeat(" ", 5000), 400, `more than 4096 bytes`, ""},
		{"POST", "/api/v1/machines/tv/pause", `{"for": "2h"}`, 404, `no machine is named \"tv\"`, ""},
		{"DELETE", nasPath + "/pause", "", 200, `"name":"nas"`, "resume nas"},
		{"POST", "/api/v1/wake", `{"mac": "02:00:00:00:00:03"}`, 202, `{"mac":"02:00:00:00:00:03"}`, "wake 02:00:00:00:00:03"},
		{"POST", "/api/v1/wake", `{"mac": "d8:cb:8a:39:be:a1"}`, 400, `which is that of \"nas\"`, ""},
		{"POST", "/api/v1/wake", "", 400, `body: found no JSON object`, ""},
	} {
		t.Run(tt.method+" "+tt.path+" "+tt.body[:min(len(tt.body), 30)], func(t *testing.T) {
			h := &fakeBackend{machines: []machine.Status{nas()}}
			w := post(newServer(t, options(h)), tt.method, "http://porter.local"+tt.path, tt.body)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.answer) {
				t.Errorf("status %d, %s; want %d, %s", w.Code, w.Body, tt.status, tt.answer)
			}
			if got := strings.Join(h.done, ", "); got != tt.done {
				t.Errorf("did %q, want %q", got, tt.done)
			}
		})
	}
}

// TestClientChangesMachines: what the client asks for is what the backend is asked for.
func TestClientChangesMachines(t *testing.T) {
	h := &fakeBackend{machines: []machine.Status{nas(), named("böse Maus/50%?#")}}
	opts := options(h)
	opts.Access.Token = "open sesame"
	srv := httptest.NewServer(newServer(t, opts).Handler())
	defer srv.Close()
	c := newAsker(t, srv.URL)
	c.SetToken("open sesame")
	for _, m := range h.machines {
		for _, do := range []func() (web.Machine, error){
			func() (web.Machine, error) { return c.TestWake(t.Context(), m.Name) },
			func() (web.Machine, error) { return c.Pause(t.Context(), m.Name, web.PauseRequest{For: "1h"}) },
			func() (web.Machine, error) { return c.Unpause(t.Context(), m.Name) },
		} {
			if got, err := do(); err != nil || got.Name != m.Name {
				t.Errorf("%q: %v, %v", m.Name, got, err)
			}
		}
	}
	if err := c.WakeMAC(t.Context(), ether.MAC{2, 0, 0, 0, 0, 3}); err != nil {
		t.Error(err)
	}
	want := "test nas, pause until 2026-01-02 01:00:10 nas, resume nas, test böse Maus/50%?#, pause until 2026-01-02 01:00:10 böse Maus/50%?#, " +
		"resume böse Maus/50%?#, wake 02:00:00:00:00:03"
	if got := strings.Join(h.done, ", "); got != want {
		t.Errorf("did %q, want %q", got, want)
	}
}
