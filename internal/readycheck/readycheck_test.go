package readycheck

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"nightporter/internal/lan"
	"nightporter/internal/machine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// to is a service on this host.
func to(t *testing.T, addr net.Addr, ready string) Target {
	t.Helper()
	r, err := machine.ParseReady(ready)
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(addr.String())
	return Target{Interface: "lo", From: at.Addr(), To: at, Ready: r}
}

func listen(t *testing.T, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func wantCheck(t *testing.T, target Target, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Limit)
	defer cancel()
	err := target.check(ctx)
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("%v: error %v, want %q", target.Ready, err, want)
	}
}

func TestHTTP(t *testing.T) {
	var from netip.AddrPort
	var host string
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(_ http.ResponseWriter, r *http.Request) {
		from, host = netip.MustParseAddrPort(r.RemoteAddr), r.Host
		if r.Method != http.MethodGet || !r.Close {
			t.Errorf("%s, and the connection is kept: %t", r.Method, !r.Close)
		}
	})
	mux.HandleFunc("/starting", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	mux.HandleFunc("/empty", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "" && r.URL.RawQuery != "full=1" {
			t.Errorf("query %q", r.URL.RawQuery)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/starting", http.StatusFound) })
	mux.HandleFunc("/talks", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Long", strings.Repeat("x", maxHead)) })
	plain, secure := httptest.NewUnstartedServer(mux), httptest.NewUnstartedServer(mux)
	plain.Listener.Close()
	plain.Listener = listen(t, "[::1]:0")
	quiet := log.New(io.Discard, "", 0)
	plain.Config.ErrorLog, secure.Config.ErrorLog = quiet, quiet
	plain.Start()
	secure.StartTLS()
	defer plain.Close()
	defer secure.Close()
	for ready, want := range map[string]string{
		"http:/":                   "",
		"http:/=200":               "",
		"http:/=204":               "status 200: expected 204",
		"http:/starting":           "status 503: expected one below 500",
		"http:/starting=503":       "",
		"http:/empty=204":          "",
		"http:/empty?full=1=204":   "",
		"http:/moved":              "", // the answer is what counts
		"http:/moved=503":          "status 302: expected 503",
		"http:/nowhere%20at%20all": "",
		"http:/talks":              "headers exceeded",
		"https:/":                  "first record does not look like a TLS handshake",
	} {
		wantCheck(t, to(t, plain.Listener.Addr(), ready), want)
	}
	if !lan.IsProbePort(from.Port()) || host != plain.Listener.Addr().String() {
		t.Errorf("asked from %v for the host %q", from, host)
	}
	for ready, want := range map[string]string{"https:/": "", "https:/starting": "status 503"} {
		wantCheck(t, to(t, secure.Listener.Addr(), ready), want)
	}
	closed := listen(t, "127.0.0.1:0")
	closed.Close()
	wantCheck(t, to(t, closed.Addr(), "http:/"), "refused")
}

// says has a server say this to each client, and hold the connection.
func says(t *testing.T, text string, closes bool) net.Listener {
	l := listen(t, "127.0.0.1:0")
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, text)
			if closes {
				conn.Close()
				continue
			}
			t.Cleanup(func() { conn.Close() })
		}
	}()
	return l
}

func TestBanner(t *testing.T) {
	const ready = "banner:SSH-2.0"
	wantCheck(t, to(t, says(t, "SSH-2.0-OpenSSH_9.9\r\n", false).Addr(), ready), "")
	wantCheck(t, to(t, says(t, "SSH-2.0", true).Addr(), ready), "")
	wantCheck(t, to(t, says(t, "System is booting up.", true).Addr(), ready), `it said "System "`)
	wantCheck(t, to(t, says(t, "SSH", true).Addr(), ready), `it said "SSH"`)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := to(t, says(t, "", false).Addr(), ready).check(ctx); err == nil {
		t.Error("ready by saying nothing")
	}
	if err := to(t, says(t, "", false).Addr(), "http:/").check(ctx); err == nil {
		t.Error("ready by saying nothing to a question")
	}
}

// Ports that are in use are passed over.
func TestLocalPortsInUse(t *testing.T) {
	server := says(t, "hello", false)
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for range 400 { // of 4,000, so that most of the connections would meet one
		c, err := to(t, server.Addr(), "banner:hello").dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
}

func TestBoundedChecks(t *testing.T) {
	c := New()
	mute := to(t, says(t, "", false).Addr(), "banner:hello")
	subject := func(i int) Subject {
		return Subject{Service: machine.Service{Addr: mute.To.Addr(), Port: machine.Port{Protocol: machine.TCP, Number: uint16(i)}}}
	}
	for i := range maxRunning {
		if !c.Start(subject(i), mute) {
			t.Fatalf("check %d was not begun", i)
		}
		if c.Start(subject(i), mute) {
			t.Fatal("a second check of the same service was begun")
		}
	}
	if c.Start(subject(maxRunning), mute) {
		t.Error("too many checks")
	}
	begun := time.Now()
	r := <-c.Results()
	if took := time.Since(begun); r.Err == nil || took > Limit+time.Second {
		t.Errorf("%+v after %v", r, took)
	}
	c.Done(r)
	if !c.Start(r.Subject, mute) {
		t.Error("no room, though a check is over")
	}
	c.Close() // ends those that run, though the results are not read
}
