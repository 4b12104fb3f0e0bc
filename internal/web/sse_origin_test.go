package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestAttackStreamsOfAnotherSite: a page of another site asks for the events, so as
// to take the places that its visitor has. A program and a page of the porter's own
// may follow.
func TestAttackStreamsOfAnotherSite(t *testing.T) {
	for _, tt := range []struct {
		name    string
		headers []string
		refused bool
	}{
		{"no-cors over TLS or to this host", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, true},
		{"another port of this host", []string{"Sec-Fetch-Site", "same-site"}, true},
		{"EventSource over plain HTTP", []string{"Origin", "http://evil.example"}, true},
		{"a file, or a sandboxed frame", []string{"Origin", "null"}, true},
		{"another port over plain HTTP", []string{"Origin", "http://porter.local:8080"}, true},
		{"no URL", []string{"Origin", "http://%zz"}, true},
		{"a page of ours", []string{"Sec-Fetch-Site", "same-origin"}, false},
		{"a page of ours that says where it is", []string{"Origin", "http://porter.local"}, false},
		{"typed by a person", []string{"Sec-Fetch-Site", "none"}, false},
		{"a program", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := new(fakeBackend)
			w := ask(t, h, "HEAD", "/api/v1/events", append(tt.headers, "Accept", "text/event-stream")...)
			// The recorder cannot be followed by: who is let through gets as far as that.
			if refused := w.Code == http.StatusForbidden; refused != tt.refused {
				t.Errorf("status %d, %s; want it refused: %v", w.Code, w.Body, tt.refused)
			}
			if tt.refused && !strings.Contains(w.Body.String(), "a page of another site") {
				t.Errorf("%s: want the reason", w.Body)
			}
			if w := ask(t, h, "GET", "/api/v1/events", tt.headers...); w.Code != 200 {
				t.Errorf("the list: status %d, want 200 all the same", w.Code)
			}
		})
	}
}

// TestAttackMethods: what changes something takes its own method. A header or field
// that names another one is not asked, nor is a preflight allowed.
func TestAttackMethods(t *testing.T) {
	for _, action := range actions {
		for _, method := range []string{"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "PATCH", "CONNECT", "post", "Delete", "POST ", "BREW"} {
			for _, headers := range [][]string{
				nil,
				{"X-HTTP-Method-Override", action[0]}, {"X-HTTP-Method", action[0]}, {"X-Method-Override", action[0]},
				{"Access-Control-Request-Method", action[0], "Origin", "http://evil.example"},
			} {
				h := &fakeBackend{machines: nil}
				h.machines = append(h.machines, nas())
				r := httptest.NewRequest("GET", "http://porter.local"+action[1]+"?_method="+action[0], http.NoBody)
				r.Method = method
				for i := 0; i < len(headers); i += 2 {
					r.Header.Set(headers[i], headers[i+1])
				}
				w := httptest.NewRecorder()
				newServer(t, options(h)).Handler().ServeHTTP(w, r)
				if len(h.done) != 0 || w.Code == 202 || w.Code == 204 {
					t.Errorf("%s %v: status %d, did %q", method, headers, w.Code, h.done)
				}
				for name := range w.Header() {
					if strings.HasPrefix(name, "Access-Control-") {
						t.Errorf("%s %v: answers %s", method, headers, name)
					}
				}
			}
		}
	}
}

// TestAttackRebindingNames: names that look like ours, and that others can have
// resolved to our address.
func TestAttackRebindingNames(t *testing.T) {
	for _, host := range []string{
		"192.0.2.1.nip.io", "192-0-2-1.nip.io", "porter.local.evil.example", "localhost.evil.example", "evil.example%00.local",
		"evil.example#.local", "evil.example?.local", "evil.example/.local", `evil.example\.local`, "porter.local@evil.example",
		"[::1].evil.example", "[::1]evil.example", "::1.evil.example", "porter.localhost.example", "evil.example:80:.local", "lan.example",
	} {
		for _, action := range actions {
			h := &fakeBackend{}
			h.machines = append(h.machines, nas())
			r := httptest.NewRequest(action[0], action[1], http.NoBody)
			r.Host = host
			r.Header.Set("Origin", "http://"+host)
			w := httptest.NewRecorder()
			newServer(t, options(h)).Handler().ServeHTTP(w, r)
			if w.Code != http.StatusForbidden || len(h.done) != 0 {
				t.Errorf("%s of a page at %q: status %d, did %q; want 403", action[0], host, w.Code, h.done)
			}
		}
	}
}
