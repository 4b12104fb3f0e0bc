package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"nightporter/internal/machine"
	"nightporter/internal/web"
)

// callFrom sends one request from a peer.
func callFrom(s *web.Server, peer, method, path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://porter.example"+path, http.NoBody)
	r.RemoteAddr = peer
	r.Header.Set("X-Forwarded-For", "198.51.100.1") // any client can write that
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

func TestWakesAreRationed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeBackend{machines: []machine.Status{nas()}}
		opts := options(h)
		opts.Rate = 6 // 3 at once, then one in 10 s
		s := newServer(t, opts)
		const wake, nas = "/api/v1/machines/nas/wake", "/api/v1/machines/nas"
		var got []int
		ask := func(peer, method, path string) { got = append(got, callFrom(s, peer, method, path).Code) }
		want := func(what string, codes ...int) {
			t.Helper()
			if !slices.Equal(got, codes) {
				t.Errorf("%s: %v, want %v", what, got, codes)
			}
			got = nil
		}
		ask("192.0.2.7:1001", "POST", wake)
		ask("192.0.2.7:1002", "DELETE", nas)                           // shares the ration
		ask("192.0.2.7:1003", "POST", "/api/v1/machines/unknown/wake") // costs nothing
		ask("[::ffff:192.0.2.7]:1004", "POST", wake)
		ask("192.0.2.7:1004", "POST", wake)
		ask("192.0.2.7:1005", "DELETE", nas)
		want("one source", 202, 204, 404, 202, 429, 429)
		if done := []string{"wake nas", "forget nas", "wake nas"}; !slices.Equal(h.done, done) {
			t.Errorf("done %v, want %v", h.done, done)
		}
		ask("192.0.2.7:1006", "GET", nas)
		ask("192.0.2.7:1006", "GET", "/metrics")
		ask("192.0.2.7:1006", "GET", "/-/healthy")
		ask("192.0.2.7:1006", "PUT", wake)
		want("what changes nothing", 200, 200, 200, 405)
		ask("192.0.2.8:1001", "POST", wake)
		want("another source", 202)
		for _, peer := range []string{"[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1", "[2001:db8::4]:1", "[2001:db8:0:1::1]:1"} {
			ask(peer, "POST", wake)
		}
		want("networks of 64 bits", 202, 202, 202, 429, 202)
		time.Sleep(10 * time.Second)
		ask("192.0.2.7:1007", "POST", wake)
		ask("192.0.2.7:1008", "POST", wake)
		want("after 10 s", 202, 429)
		s.SetRate(0)
		for range 10 {
			ask("192.0.2.7:1009", "POST", wake)
		}
		want("without a limit", slices.Repeat([]int{202}, 10)...)
	})
}

func TestTooManyWakesAreToldWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := options(&fakeBackend{machines: []machine.Status{nas()}})
		opts.Rate = 2
		s := newServer(t, opts)
		callFrom(s, "192.0.2.7:1", "POST", "/api/v1/machines/nas/wake")
		time.Sleep(500 * time.Millisecond)
		w := callFrom(s, "192.0.2.7:1", "POST", "/api/v1/machines/nas/wake")
		if w.Code != 429 || w.Header().Get("Retry-After") != "30" || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("status %d, headers %v", w.Code, w.Header())
		}
		var body struct{ Error string }
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
		const want = "too many wakes, pauses and forgets from 192.0.2.7: expected at most 2 a minute (http.rate), try again in 30s"
		if body.Error != want {
			t.Errorf("error %q\nwant  %q", body.Error, want)
		}
		time.Sleep(30 * time.Second) // as Retry-After said
		if w := callFrom(s, "192.0.2.7:1", "POST", "/api/v1/machines/nas/wake"); w.Code != 202 {
			t.Errorf("after the time of Retry-After: %d", w.Code)
		}
	})
}

// A page of another site cannot use up the rate limit of an authorized client.
func TestOtherSitesCostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := options(&fakeBackend{machines: []machine.Status{nas()}})
		opts.Rate = 1
		s := newServer(t, opts)
		for range 3 {
			r := httptest.NewRequest("POST", "http://porter.example/api/v1/machines/nas/wake", http.NoBody)
			r.RemoteAddr = "192.0.2.7:1"
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			w := httptest.NewRecorder()
			if s.Handler().ServeHTTP(w, r); w.Code != 403 {
				t.Errorf("another site: %d, want 403", w.Code)
			}
		}
		if w := callFrom(s, "192.0.2.7:1", "POST", "/api/v1/machines/nas/wake"); w.Code != 202 {
			t.Errorf("afterwards: %d, want 202", w.Code)
		}
	})
}

// TestAttackWakes: a host asks for wakes of unknown machines, or too often,
// with many addresses. Others have their ration all the same.
func TestAttackWakes(t *testing.T) {
	for _, token := range []string{"", secret} {
		for name, path := range map[string]string{"unknown": "/api/v1/machines/x%d/wake", "known": "/api/v1/machines/nas/wake?%d"} {
			synctest.Test(t, func(t *testing.T) {
				opts := options(&fakeBackend{machines: []machine.Status{nas()}})
				opts.Rate, opts.Access.Token = 4, token
				s := newServer(t, opts)
				for i := range 500 {
					callFrom(s, fmt.Sprintf("[2001:db8::%x]:1", i%64), "POST", fmt.Sprintf(path, i))
				}
				ask := func(peer string) int {
					r := httptest.NewRequest("POST", "http://porter.local/api/v1/machines/nas/wake", http.NoBody)
					r.RemoteAddr = peer
					r.Header.Set(web.TokenHeader, token)
					w := httptest.NewRecorder()
					s.Handler().ServeHTTP(w, r)
					return w.Code
				}
				if got := ask("[2001:db8:0:1::1]:1"); got != 202 {
					t.Errorf("%s: another host: status %d, want 202", name, got)
				}
				if got := ask("[2001:db8::1]:1"); (got == 202) != (name == "unknown") {
					t.Errorf("%s: the same host: status %d", name, got)
				}
			})
		}
	}
}
