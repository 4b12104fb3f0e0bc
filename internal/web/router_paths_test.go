package web_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"nightporter/internal/machine"
)

// FuzzPaths: whatever is in a path or a header, the backend is asked about that
// machine or not at all, and the answer is one that a program can read.
func FuzzPaths(f *testing.F) {
	for _, p := range []string{"nas", "nas/wake", "b%C3%B6se%20Maus", "..", "%2e%2e/wake", "a%2Fb", "%00", "nas/", "nas/pause", "nas//wake", "", "\x7f", "nas/wake/wake", "?x", "%zz"} {
		f.Add(p, "POST", "7")
		f.Add(p, "DELETE", "")
	}
	f.Add("nas", "GET", "-1")
	f.Fuzz(func(t *testing.T, rest, method, lastEvent string) {
		u, err := url.ParseRequestURI("/api/v1/machines/" + rest)
		if err != nil || strings.ContainsAny(method, " \t\r\n") || method == "" {
			return // no server is handed such a request
		}
		h := &fakeBackend{machines: []machine.Status{nas()}}
		for _, u := range []*url.URL{u, {Path: "/api/v1/events", RawQuery: u.RawQuery}} {
			r := &http.Request{Method: method, URL: u, Header: http.Header{"Last-Event-Id": {lastEvent}}, Body: http.NoBody, Host: "porter", RemoteAddr: "192.0.2.9:1"}
			w := httptest.NewRecorder()
			newServer(t, options(h)).Handler().ServeHTTP(w, r)
			if w.Code >= 500 || w.Code < 200 {
				t.Errorf("status %d", w.Code)
			}
			if w.Header().Get("Content-Type") == "application/json" && !json.Valid(w.Body.Bytes()) {
				t.Errorf("no JSON: %q", w.Body)
			}
			if w.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("headers %v", w.Header())
			}
		}
		name, wake := strings.CutSuffix(u.Path[len("/api/v1/machines/"):], "/wake")
		name, pause := strings.CutSuffix(name, "/pause")
		for _, did := range h.done {
			want := "forget " + name
			switch {
			case wake:
				want = "wake " + name
			case pause: // which takes a body to begin
				want = "resume " + name
			}
			if did != want || (method == http.MethodPost) != wake {
				t.Errorf("%s %q has the backend do %q", method, u.Path, did)
			}
		}
	})
}
