package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"nightporter/internal/notifyconf"
)

// got is one request to a server.
type got struct {
	path, query, title, auth, body string
}

// server answers with a status, and keeps what it got.
func server(t *testing.T, status int) (host string, requests chan got, conns *atomic.Int64) {
	t.Helper()
	requests, conns = make(chan got, 16), new(atomic.Int64)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		requests <- got{r.URL.Path, r.URL.RawQuery, r.Header.Get("Title"), r.Header.Get("Authorization"), string(b)}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"error":"no","errorCode":403,"errorDescription":"swordfish","code":40301}`) // as Gotify and ntfy tell errors
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), requests, conns
}

func parsed(t *testing.T, raw string) notifyconf.Target {
	t.Helper()
	target, err := parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

var hello = Message{Title: "nas did not wake", Text: "nas did not wake: Ünïcode, 6 magic packets."}

// The services of the library, over HTTP on the loopback.
func TestDelivers(t *testing.T) {
	for _, tt := range []struct {
		name, url string // %s: host and port
		check     func(t *testing.T, r got)
	}{
		{"ntfy", "ntfy://me:swordfish@%s/topic?scheme=http&title=ignored", func(t *testing.T, r got) {
			if r.path != "/topic" || r.title != hello.Title || r.body != hello.Text || !strings.HasPrefix(r.auth, "Basic ") {
				t.Errorf("got %+v", r)
			}
		}},
		{"gotify", "gotify://%s/Aswordfish12345?disabletls=yes", func(t *testing.T, r got) {
			var m struct{ Title, Message string }
			if err := json.Unmarshal([]byte(r.body), &m); err != nil {
				t.Fatal(err)
			}
			if r.path != "/message" || r.query != "token=Aswordfish12345" || m.Title != hello.Title || m.Message != hello.Text {
				t.Errorf("got %+v", r)
			}
		}},
		{"a webhook", "generic+http://%s/hook?template=json&@Authorization=swordfish", func(t *testing.T, r got) {
			var m struct{ Title, Message string }
			if err := json.Unmarshal([]byte(r.body), &m); err != nil {
				t.Fatal(err)
			}
			if r.path != "/hook" || r.auth != "swordfish" || m.Title != hello.Title || m.Message != hello.Text {
				t.Errorf("got %+v", r)
			}
		}},
		{"a webhook in text", "generic+http://%s/hook", func(t *testing.T, r got) {
			if r.body != hello.Text {
				t.Errorf("got %+v", r)
			}
		}},
		{"signal, which takes no title", "signal://me:swordfish@%s/+12345678901/+12345678902?disabletls=yes", func(t *testing.T, r got) {
			var m struct{ Message string }
			if err := json.Unmarshal([]byte(r.body), &m); err != nil {
				t.Fatal(err)
			}
			if m.Message != hello.Text {
				t.Errorf("got %+v", r)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			host, requests, _ := server(t, http.StatusOK)
			target := parsed(t, fmt.Sprintf(tt.url, host))
			if err := newDelivery(target).deliver(hello); err != nil {
				t.Fatal(err)
			}
			tt.check(t, <-requests)
		})
	}
}

// Messages to one target are each sent as they are, over one connection.
func TestDeliversAgain(t *testing.T) {
	for _, url := range []string{"ntfy://%s/topic?scheme=http", "gotify://%s/Aswordfish12345?disabletls=yes", "generic+http://%s/?template=json"} {
		host, requests, conns := server(t, http.StatusOK)
		b := newDelivery(parsed(t, fmt.Sprintf(url, host)))
		for i := range 3 {
			title := fmt.Sprint("message ", i)
			if err := b.deliver(Message{Title: title, Text: "text"}); err != nil {
				t.Fatal(err)
			}
			if r := <-requests; r.title != title && !strings.Contains(r.body, title) {
				t.Errorf("%s: got %+v, want the title %q", url, r, title)
			}
		}
		if n := conns.Load(); n != 1 {
			t.Errorf("%s: %d connections, want 1", url, n)
		}
	}
}

// An error says why, and repeats nothing of the URL.
func TestReasons(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	forbidden, _, _ := server(t, http.StatusForbidden)
	broken, _, _ := server(t, http.StatusInternalServerError)
	for _, tt := range []struct{ url, want string }{
		{"ntfy://me:swordfish@" + closed + "/swordfish?scheme=http", "connection refused"},
		{"gotify://" + closed + "/Aswordfish12345?disabletls=yes", "connection refused"},
		{"generic+http://" + closed + "/swordfish?@k=swordfish", "connection refused"},
		{"matrix://me:swordfish@" + closed + "/?disableTLS=yes", errSetUp.Error()},
		{"smtp://me:swordfish@" + closed + "/?from=a@example.org&to=swordfish@example.org", "connection refused"},
		{"gotify://" + forbidden + "/Aswordfish12345?disabletls=yes", "status 403"},
		{"generic+http://" + forbidden + "/swordfish", "HTTP 403 Forbidden"},
		{"generic+http://" + broken + "/swordfish", "HTTP 500 Internal Server Error"},
		{"generic://" + broken + "/swordfish", "server gave HTTP response to HTTPS client"},
		{"pagerduty://" + broken + "/0123456789abcdef0123456789abcdef", "server gave HTTP response to HTTPS client"}, // no title stops it before
		{"ntfy://me:swordfish@" + forbidden + "/swordfish?scheme=http", "status 403"},
	} {
		err := newDelivery(parsed(t, tt.url)).deliver(hello)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s: error %v, want %s", tt.url, err, tt.want)
		}
	}
	for text, want := range map[string]string{
		"posting https://host/swordfish: status code: 418":       "status 418",
		"Post \"https://host/swordfish\": EOF":                   "EOF",
		"something else about swordfish":                         errUnaccepted.Error(),
		"Get https://h/swordfish: context deadline exceeded (x)": "deadline exceeded",
	} {
		if got := reason(errors.New(text)).Error(); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

// A panic of the library over an answer or a URL that it does not expect does not end the
// daemon.
func TestPanicIsAnError(t *testing.T) {
	b := newDelivery(parsed(t, "ntfy://host/topic"))
	b.service = struct{ types.Service }{} // each call is one of a nil interface
	if err := b.deliver(hello); err == nil {
		t.Error("no error for an answer")
	}
	if err := ReadURL("generic+https://%zz", notifyconf.Service{}); err == nil {
		t.Error("no error for a URL")
	}
}

func TestTry(t *testing.T) {
	host, requests, _ := server(t, http.StatusOK)
	forbidden, _, _ := server(t, http.StatusForbidden)
	said := Try(t.Context(), []notifyconf.Target{parsed(t, "generic+http://"+forbidden+"/"), parsed(t, "generic+http://"+host+"/")}, hello)
	if len(said) != 2 || said[0] == nil || said[1] != nil {
		t.Errorf("said %v, want an error and none", said)
	}
	if r := <-requests; r.body != hello.Text {
		t.Errorf("got %+v", r)
	}
	silent := make(chan struct{})
	hangs := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-silent }))
	t.Cleanup(hangs.Close)
	t.Cleanup(func() { close(silent) })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	said = Try(ctx, []notifyconf.Target{parsed(t, "generic+"+hangs.URL+"/")}, hello)
	if took := time.Since(began); !errors.Is(said[0], context.DeadlineExceeded) || took > time.Second {
		t.Errorf("a server that hangs: %v after %v", said[0], took)
	}
}
