package web_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"nightporter/internal/machine"
	"nightporter/internal/web"
)

const secret = "open sesame"

// actions are all that changes something.
var actions = [...][2]string{
	{"POST", "/api/v1/machines/nas/wake"}, {"DELETE", "/api/v1/machines/nas"}, {"DELETE", "/api/v1/machines/nas/pause"},
}

func withAccess(a web.Access) (web.Options, *fakeBackend) {
	h := &fakeBackend{machines: []machine.Status{nas()}}
	opts := options(h)
	opts.Access = a
	return opts, h
}

func TestToken(t *testing.T) {
	for _, tt := range []struct {
		name    string
		headers []string
		let     bool
		message string // part of the error
	}{
		{"bearer", []string{"Authorization", "Bearer open sesame"}, true, ""},
		{"any case", []string{"Authorization", "bEARER  open sesame"}, true, ""},
		{"our header", []string{web.TokenHeader, secret}, true, ""},
		{"our header beside a password", []string{"Authorization", "Basic YTpi", web.TokenHeader, secret}, true, ""},
		{"our header goes first", []string{"Authorization", "Bearer wrong", web.TokenHeader, secret}, true, ""},
		{"also if it is wrong", []string{"Authorization", "Bearer open sesame", web.TokenHeader, "wrong"}, false, "wrong token"},
		{"none", nil, false, "token required (http.token): expected Authorization: Bearer TOKEN, or X-Nightporter-Token: TOKEN"},
		{"empty", []string{"Authorization", "Bearer "}, false, "token required"},
		{"another", []string{"Authorization", "Bearer open sesam"}, false, "wrong token"},
		{"longer", []string{"Authorization", "Bearer open sesame!"}, false, "wrong token"},
		{"another case", []string{"Authorization", "Bearer Open sesame"}, false, "wrong token"},
		{"as a password", []string{"Authorization", "Basic b3BlbiBzZXNhbWU="}, false, "token required"},
		{"no scheme", []string{"Authorization", secret}, false, "token required"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, action := range actions {
				opts, h := withAccess(web.Access{Token: secret})
				w := askWith(t, opts, action[0], action[1], tt.headers...)
				if let := w.Code < 300; let != tt.let || let != (len(h.done) == 1) {
					t.Errorf("%s: status %d, did %q; want it done: %v", action[0], w.Code, h.done, tt.let)
				}
				if tt.let {
					continue
				}
				var answer struct{ Error string }
				if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || !strings.Contains(answer.Error, tt.message) {
					t.Errorf("%s: %s, %v; want %q", action[0], w.Body, err, tt.message)
				}
				if got := w.Header().Get("WWW-Authenticate"); w.Code != 401 || got != `Bearer realm="nightporter"` {
					t.Errorf("%s: status %d, WWW-Authenticate %q", action[0], w.Code, got)
				}
				if strings.Contains(w.Body.String(), "sesam") {
					t.Errorf("%s tells a token", w.Body)
				}
			}
		})
	}
}

// Who looks needs no token, and who shows one that is not asked for does no harm.
func TestTokenIsForChanges(t *testing.T) {
	opts, _ := withAccess(web.Access{Token: secret})
	for _, path := range []string{"/", "/metrics", "/-/ready", "/api/v1/machines", "/api/v1/machines/nas", "/api/v1/events", "/api/v1/status"} {
		if w := askWith(t, opts, "GET", path); w.Code != 200 {
			t.Errorf("%s: status %d, want 200", path, w.Code)
		}
	}
	opts, _ = withAccess(web.Access{})
	if w := askWith(t, opts, "POST", actions[0][1], "Authorization", "Bearer whatever"); w.Code != 202 {
		t.Errorf("a token that is not asked for: status %d, want 202", w.Code)
	}
}

func TestTokenChanges(t *testing.T) {
	opts, _ := withAccess(web.Access{Token: secret})
	s := newServer(t, opts)
	wake := func(token string) int {
		return call(s, "POST", "http://porter.local/api/v1/machines/nas/wake", web.TokenHeader, token).Code
	}
	got := []int{wake(secret), wake("another one")}
	s.SetAccess(web.Access{Token: "another one"})
	got = append(got, wake(secret), wake("another one"))
	s.SetAccess(web.Access{})
	got = append(got, wake(""))
	if want := []int{202, 401, 401, 202, 202}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Wrong tokens count against the rate limit of their source.
func TestGuessesAreRationed(t *testing.T) {
	opts, _ := withAccess(web.Access{Token: secret})
	opts.Rate = 4
	s := newServer(t, opts)
	var got []int
	for range 3 {
		got = append(got, call(s, "POST", "http://porter.local"+actions[0][1], web.TokenHeader, "a guess").Code)
	}
	if want := []int{401, 401, 429}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// With passwords in the toolkit's file both are needed: it wants Authorization.
func TestTokenBesidePasswords(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("password"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	opts, h := withAccess(web.Access{Token: secret})
	opts.Listen = []string{"127.0.0.1:0"}
	opts.WebConfig = writeFile(t, "web.yml", fmt.Sprintf("basic_auth_users:\n  anna: %q\n", hash))
	url := run(t, opts).urls[0] + actions[0][1]
	c := newClient(t)
	for _, tt := range []struct {
		name     string
		password string
		headers  []string
		want     int
	}{
		{"both", "password", []string{web.TokenHeader, secret}, 202},
		{"only the password", "password", nil, 401},
		{"only the token", "", []string{web.TokenHeader, secret}, 401},
		{"only the token, as bearer", "", []string{"Authorization", "Bearer " + secret}, 401},
		{"a wrong password", "guess", []string{web.TokenHeader, secret}, 401},
	} {
		r, err := http.NewRequestWithContext(t.Context(), "POST", url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if tt.password != "" {
			r.SetBasicAuth("anna", tt.password)
		}
		for i := 0; i < len(tt.headers); i += 2 {
			r.Header.Set(tt.headers[i], tt.headers[i+1])
		}
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tt.want {
			t.Errorf("%s: status %d, want %d", tt.name, resp.StatusCode, tt.want)
		}
	}
	if got := strings.Join(h.done, ", "); got != "wake nas" {
		t.Errorf("did %q, want one wake", got)
	}
}

// A page of another site that had its own name resolve to our address (DNS
// rebinding) is of one origin with us for its browser. Only the name tells.
func TestRebinding(t *testing.T) {
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		host   string
		access web.Access
		let    bool
	}{
		{"192.0.2.1:9717", web.Access{}, true},
		{"[2001:db8::1]:9717", web.Access{}, true},
		{"[::1]", web.Access{}, true},
		{"porter:9717", web.Access{}, true},
		{"localhost", web.Access{}, true},
		{"Porter.Local.:9717", web.Access{}, true},
		{"porter.home.arpa", web.Access{}, true},
		{"porter.lan", web.Access{}, true},
		{own + ":9717", web.Access{}, true},
		{"evil.example", web.Access{}, false},
		{"evil.example:9717", web.Access{}, false},
		{"local.evil.example", web.Access{}, false},
		{"evil.notlan", web.Access{}, false},
		{"192.0.2.1.evil.example", web.Access{}, false},
		{own + ".evil.example", web.Access{}, false},
		{"", web.Access{}, false},
		{"evil.example", web.Access{Token: secret}, true}, // it does not know the token, which is asked for
		{"porter.example.org:80", web.Access{Hosts: []string{"Porter.Example.org"}}, true},
		{"evil.example.org", web.Access{Hosts: []string{"porter.example.org", "example.org"}}, false},
	} {
		for _, action := range actions {
			opts, h := withAccess(tt.access)
			s := newServer(t, opts)
			send := func(headers ...string) int {
				r := httptest.NewRequest(action[0], action[1], http.NoBody)
				r.Host = tt.host
				r.Header.Set(web.TokenHeader, tt.access.Token)
				for i := 0; i < len(headers); i += 2 {
					r.Header.Set(headers[i], headers[i+1])
				}
				w := httptest.NewRecorder()
				s.Handler().ServeHTTP(w, r)
				return w.Code
			}
			// Over plain HTTP to another host than this one browsers send no Sec-Fetch-Site.
			old, now := send("Origin", "http://"+tt.host), send("Origin", "http://"+tt.host, "Sec-Fetch-Site", "same-origin")
			if (old < 300) != tt.let || (now < 300) != tt.let || len(h.done) == 2 != tt.let {
				t.Errorf("%s of a page at %q: status %d and %d, did %q; want it done: %v", action[0], tt.host, old, now, h.done, tt.let)
			}
			if !tt.let && (old != 403 || now != 403) {
				t.Errorf("%s of a page at %q: status %d and %d, want 403", action[0], tt.host, old, now)
			}
			if got := send(); got >= 300 {
				t.Errorf("%s of a program at %q: status %d, want it done", action[0], tt.host, got)
			}
		}
	}
}

// Over TLS the certificate says that the name is ours.
func TestRebindingOverTLS(t *testing.T) {
	opts, _ := withAccess(web.Access{})
	for want, state := range map[int]*tls.ConnectionState{202: {}, 403: nil} {
		r := httptest.NewRequest("POST", "http://porter.example.org/api/v1/machines/nas/wake", http.NoBody)
		r.Header.Set("Origin", "http://porter.example.org")
		r.TLS = state
		w := httptest.NewRecorder()
		if newServer(t, opts).Handler().ServeHTTP(w, r); w.Code != want {
			t.Errorf("TLS %v: status %d, want %d", state != nil, w.Code, want)
		}
	}
}

func TestRefusedHostIsTold(t *testing.T) {
	opts, _ := withAccess(web.Access{})
	w := call(newServer(t, opts), "POST", "http://evil.example"+actions[0][1], "Origin", "http://evil.example")
	const want = `{"error":"host \"evil.example\" is not allowed for browser requests: ` +
		`expected an address, a local name of this host, or one of http.hosts"}` + "\n"
	if w.Body.String() != want {
		t.Errorf("%s\nwant %s", w.Body, want)
	}
	if w := call(newServer(t, opts), "GET", "http://evil.example/api/v1/machines", "Origin", "http://evil.example"); w.Code != 200 {
		t.Errorf("to look: status %d, want 200", w.Code)
	}
}
