package web_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/guard"
	"nightporter/internal/journal"
	"nightporter/internal/machine"
)

const nasJSON = `{
  "name": "nas",
  "mac": "d8:cb:8a:39:be:a1",
  "wake_mac": "d8:cb:8a:39:be:a2",
  "state": "asleep",
  "since": "2026-01-02T00:00:00Z",
  "monitor": [
    {
      "ip": "192.0.2.5",
      "port": [
        "22/tcp",
        "51820/udp",
        "icmp"
      ],
      "settings": [
        {
          "port": "22/tcp",
          "ready": "banner:SSH-2.0",
          "ready_timeout": "3m0s",
          "established": false,
          "wake_from": [
            "192.0.2.0/24"
          ]
        }
      ]
    },
    {
      "ip": "2001:db8::5",
      "mac": "52:54:00:00:00:05",
      "port": []
    }
  ],
  "addresses": [
    {
      "ip": "192.0.2.5",
      "standing": "claimed"
    },
    {
      "ip": "2001:db8::5",
      "mac": "52:54:00:00:00:05",
      "standing": "waiting",
      "reason": "the network is out"
    }
  ],
  "arrival": {
    "since": "2026-01-02T00:00:00Z",
    "until": "2026-01-02T00:01:00Z",
    "idle": "2026-01-02T00:00:30Z",
    "not_ready": [
      "192.0.2.5:22/tcp"
    ]
  },
  "last_wake": {
    "at": "2026-01-01T23:00:00Z",
    "outcome": "ready",
    "trigger": "tcp",
    "source": "192.0.2.9:40000",
    "service": "192.0.2.5:22/tcp",
    "by": "automation",
    "attempts": 2,
    "boot_seconds": 12.3,
    "ready_seconds": 15,
    "test": true
  },
  "slept_seconds": 3610,
  "slept_days": [
    {
      "date": "2025-12-27",
      "seconds": 0
    },
    {
      "date": "2025-12-28",
      "seconds": 0
    },
    {
      "date": "2025-12-29",
      "seconds": 0
    },
    {
      "date": "2025-12-30",
      "seconds": 0
    },
    {
      "date": "2025-12-31",
      "seconds": 25200
    },
    {
      "date": "2026-01-01",
      "seconds": 1800
    },
    {
      "date": "2026-01-02",
      "seconds": 10
    }
  ],
  "saved_joules": 1480,
  "wake_attempts": 7,
  "wakes": {
    "api": 0,
    "icmp": 0,
    "schedule": 0,
    "tcp": 3,
    "udp": 0
  },
  "wake_failures": {
    "api": 1,
    "icmp": 0,
    "schedule": 0,
    "tcp": 0,
    "udp": 0
  },
  "knocks_suppressed": {
    "cooldown": 0,
    "established": 0,
    "failed_wakes": 0,
    "local": 0,
    "min_knocks": 5,
    "ping": 0,
    "port": 0,
    "quiet_hours": 2,
    "source": 0
  },
  "ignored": [
    {
      "reason": "min_knocks",
      "service": "192.0.2.5:22/tcp",
      "source": "192.0.2.9:40000",
      "first": "2026-01-02T00:00:00Z",
      "last": "2026-01-02T00:00:01Z",
      "count": 5
    }
  ],
  "external_starts": 8,
  "conflicts": 9,
  "idle_watts": 50,
  "sleep_watts": 2,
  "agentless": true,
  "paused_until": "2026-01-02T01:00:00Z",
  "registered_at": "2026-01-01T23:59:00Z",
  "heard_at": "2026-01-02T00:00:00Z",
  "counted_since": "2025-12-30T00:00:00Z",
  "wake_timeout_seconds": 300,
  "inquiry": "open",
  "wake_failed": false
}
`

func indent(t *testing.T, b []byte) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return out.String()
}

func TestStatus(t *testing.T) {
	const loaded = `"config":{"healthy":true,"reason":"","loaded":"2026-01-02T00:00:10Z"}}`
	for _, c := range []struct {
		backend *fakeBackend
		want    string
	}{
		{
			&fakeBackend{guard: guard.Status{Mode: "auto", Active: true}, storage: journal.Health{Healthy: true}},
			`{"version":"1.2.3","ready":true,"reason":"","guard":{"mode":"auto","active":true,"reason":"","limits":""},"journal":{"healthy":true,"reason":""},` + loaded,
		},
		{
			&fakeBackend{
				ready: errors.New("starting"), guard: guard.Status{Mode: "off", Reason: "claim.guard is off"},
				storage: journal.Health{Reason: "no space left"},
			},
			`{"version":"1.2.3","ready":false,"reason":"starting","guard":{"mode":"off","active":false,"reason":"claim.guard is off","limits":""},` +
				`"journal":{"healthy":false,"reason":"no space left"},` + loaded,
		},
	} {
		w := ask(t, c.backend, "GET", "/api/v1/status")
		if got := strings.TrimSpace(w.Body.String()); w.Code != 200 || got != c.want {
			t.Errorf("%d %s, want %s", w.Code, got, c.want)
		}
	}
	if w := ask(t, &fakeBackend{}, "POST", "/api/v1/status"); w.Code != 405 {
		t.Errorf("POST answered %d", w.Code)
	}
}

func TestGetMachine(t *testing.T) {
	w := ask(t, &fakeBackend{machines: []machine.Status{named("pc"), nas()}}, "GET", "/api/v1/machines/nas")
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("status %d, content %q", w.Code, w.Header().Get("Content-Type"))
	}
	if diff := cmp.Diff(nasJSON, indent(t, w.Body.Bytes())); diff != "" {
		t.Errorf("machine (-want +got):\n%s", diff)
	}
}

func TestNeverWokenIsNull(t *testing.T) {
	w := ask(t, &fakeBackend{machines: []machine.Status{named("pc")}}, "GET", "/api/v1/machines/pc")
	if !strings.Contains(w.Body.String(), `"last_wake":null`) {
		t.Errorf("%s: want a last_wake of null", w.Body)
	}
}

func TestListMachines(t *testing.T) {
	machines := []machine.Status{named("pc"), nas(), named("attic")}
	h := &fakeBackend{machines: machines}
	w := ask(t, h, "GET", "/api/v1/machines")
	var got []struct{ Name string }
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := []struct{ Name string }{{"attic"}, {"nas"}, {"pc"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if h.machines[0].Name != "pc" {
		t.Error("the Backend's own list was sorted")
	}
}

// HEAD is answered as GET is; net/http leaves the body out.
func TestHead(t *testing.T) {
	for _, path := range []string{"/api/v1/machines", "/", "/metrics", "/-/healthy"} {
		if w := ask(t, new(fakeBackend), "HEAD", path); w.Code != 200 {
			t.Errorf("%s: status %d, want 200", path, w.Code)
		}
	}
}

func TestListNobody(t *testing.T) {
	if w := ask(t, new(fakeBackend), "GET", "/api/v1/machines"); w.Body.String() != "[]\n" {
		t.Errorf("%q, want an empty list", w.Body)
	}
}

func TestPasswordIsNeverShown(t *testing.T) {
	h := &fakeBackend{machines: []machine.Status{nas()}}
	for _, path := range []string{"/", "/api/v1/machines", "/api/v1/machines/nas"} {
		body := ask(t, h, "GET", path).Body.String()
		// The page has a field for the token.
		body = strings.NewReplacer(`type="password"`, "", `"current-password"`, "").Replace(body)
		for _, secret := range []string{"assword", "hunter", "aHVudGVy", "68:75:6e"} {
			if strings.Contains(body, secret) {
				t.Errorf("%s shows %q", path, secret)
			}
		}
	}
}

func TestActions(t *testing.T) {
	full := errors.New("the queue is full")
	tests := []struct {
		name, method, path string
		fail               error
		status             int
		body               string // part of it
		done               string
	}{
		{"wake", "POST", "/api/v1/machines/nas/wake", nil, 202, `"name":"nas"`, "wake nas"},
		{"wake of an unknown machine", "POST", "/api/v1/machines/tv/wake", nil, 404, `no machine is named \"tv\"`, ""},
		{"wake of one that goes", "POST", "/api/v1/machines/nas/wake", machine.ErrUnknown, 404, `no machine is named \"nas\"`, "wake nas"},
		{"wake too late", "POST", "/api/v1/machines/nas/wake", fmt.Errorf("%w: arriving", machine.ErrConflict), 409, `state: arriving`, "wake nas"},
		{"wake that fails", "POST", "/api/v1/machines/nas/wake", full, 500, `the queue is full`, "wake nas"},
		{"forget", "DELETE", "/api/v1/machines/nas", nil, 204, "", "forget nas"},
		{"forget an unknown machine", "DELETE", "/api/v1/machines/tv", nil, 404, `no machine is named \"tv\"`, ""},
		{"forget that fails", "DELETE", "/api/v1/machines/nas", full, 500, `the queue is full`, "forget nas"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := &fakeBackend{machines: []machine.Status{nas()}, fail: tt.fail}
			w := ask(t, h, tt.method, tt.path)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.body) {
				t.Errorf("status %d, %s; want %d, %s", w.Code, w.Body, tt.status, tt.body)
			}
			if w.Code >= 400 && !strings.HasPrefix(w.Body.String(), `{"error":"`) {
				t.Errorf("%s: want an error in JSON", w.Body)
			}
			if got := strings.Join(h.done, ", "); got != tt.done {
				t.Errorf("did %q, want %q", got, tt.done)
			}
			if tt.done != "" && (len(h.by) != 1 || h.by[0] != "192.0.2.1:1234") { // httptest's client
				t.Errorf("asked by %q, want the client's address", h.by)
			}
		})
	}
}

// A busy porter answers 503 after a timeout.
func TestActionTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ask(t, &fakeBackend{machines: []machine.Status{nas()}, block: true}, "POST", "/api/v1/machines/nas/wake")
		if w.Code != 503 || !strings.Contains(w.Body.String(), "in time") {
			t.Errorf("status %d, %s; want 503", w.Code, w.Body)
		}
	})
}

func TestWrongMethodOrPath(t *testing.T) {
	tests := []struct {
		method, path string
		status       int
		allow        string
	}{
		{"POST", "/api/v1/machines", 405, "GET, HEAD"},
		{"PUT", "/api/v1/machines/nas", 405, "DELETE, GET, HEAD"},
		{"OPTIONS", "/api/v1/machines/nas", 405, "DELETE, GET, HEAD"},
		{"GET", "/api/v1/machines/nas/wake", 405, "POST"},
		{"HEAD", "/api/v1/machines/nas/wake", 405, "POST"},
		{"DELETE", "/api/v1/machines/nas/wake", 405, "POST"},
		{"GET", "/api/v1/machines/tv", 404, ""},
		{"GET", "/api/v1/machines/", 404, ""},
		{"POST", "/api/v1/machines/nas/sleep", 404, ""},
		{"GET", "/api/v2/machines", 404, ""},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			h := &fakeBackend{machines: []machine.Status{nas()}}
			w := ask(t, h, tt.method, tt.path)
			if w.Code != tt.status || w.Header().Get("Allow") != tt.allow {
				t.Errorf("status %d, allowed %q; want %d, %q", w.Code, w.Header().Get("Allow"), tt.status, tt.allow)
			}
			var answer struct{ Error string }
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Error == "" {
				t.Errorf("%q is no error in JSON: %v", w.Body, err)
			}
			if len(h.done) != 0 {
				t.Errorf("did %q", h.done)
			}
		})
	}
}

func TestNamesArePathSegments(t *testing.T) {
	for _, name := range []string{"my pc", "50%", "küche", "a?b#c", "<script>", "a+b", "..."} {
		h := &fakeBackend{machines: []machine.Status{named(name)}}
		w := ask(t, h, "POST", "/api/v1/machines/"+url.PathEscape(name)+"/wake")
		if w.Code != 202 || strings.Join(h.done, "") != "wake "+name {
			t.Errorf("%q: status %d, did %q", name, w.Code, h.done)
		}
	}
}

func TestOtherSitesAreKeptOut(t *testing.T) {
	tests := []struct {
		name    string
		headers []string
		status  int
	}{
		{"a program", nil, 202},
		{"our own page", []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://porter.local"}, 202},
		{"another site", []string{"Sec-Fetch-Site", "cross-site", "Origin", "http://evil.example"}, 403},
		{"another site, old browser", []string{"Origin", "http://evil.example"}, 403},
		{"another port of this host", []string{"Sec-Fetch-Site", "same-site", "Origin", "http://porter.local:8080"}, 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, action := range [][2]string{{"POST", "/wake"}, {"DELETE", ""}} {
				h := &fakeBackend{machines: []machine.Status{nas()}}
				w := ask(t, h, action[0], "/api/v1/machines/nas"+action[1], tt.headers...)
				if refused := w.Code == 403; refused != (tt.status == 403) || refused == (len(h.done) == 1) {
					t.Errorf("%s: status %d, did %q; want %d", action[0], w.Code, h.done, tt.status)
				}
			}
			if w := ask(t, new(fakeBackend), "GET", "/api/v1/machines", tt.headers...); w.Code != 200 {
				t.Errorf("to look: status %d, want 200", w.Code)
			}
		})
	}
}

// A value that JSON does not have is answered with an error, not with half an answer.
func TestNotEncodable(t *testing.T) {
	s := nas()
	s.IdleWatts = math.Inf(1)
	var l log
	opts := options(&fakeBackend{machines: []machine.Status{s}})
	opts.Log = l.logger()
	w := askWith(t, opts, "GET", "/api/v1/machines")
	if w.Code != 500 || !strings.HasPrefix(w.Body.String(), `{"error":"`) {
		t.Errorf("status %d, %s; want 500 and an error", w.Code, w.Body)
	}
	if !strings.Contains(l.String(), "cannot be encoded") {
		t.Errorf("logged %q", &l)
	}
}
