package web_test

import (
	"context"
	"errors"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"

	"nightporter/internal/web"
)

// The error has the porter's own reason, without the words of HTTP.
func TestClientIsRefused(t *testing.T) {
	for answer, want := range map[string]string{
		`{"error":"32 are enough\u001b"}`:                                   "32 are enough\x1b",
		`{"error":"not possible in the machine's state: it is not paused"}`: "it is not paused",
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, answer)
		}))
		_, err := newAsker(t, srv.URL).Unpause(t.Context(), "nas")
		refused, ok := errors.AsType[*web.Refused](err)
		if !ok || refused.Reason != want || err.Error() != "not resumed: "+want {
			t.Errorf("%v, want %q", err, want)
		}
		srv.Close()
	}
}

// refuser is a port at which something says a line to each that connects.
func refuser(t *testing.T, line string) (host string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 512)) // or the answer is lost in a reset
			_, _ = io.WriteString(conn, line)
			_ = conn.Close()
		}
	}()
	return ln.Addr().String()
}

// Where no porter is, or one that expects something else, the error says what.
func TestClientIsElsewhereToo(t *testing.T) {
	porter := newServer(t, options(&fakeBackend{})).Handler()
	plain, safe := httptest.NewServer(porter), httptest.NewUnstartedServer(porter)
	safe.Config.ErrorLog = stdlog.New(io.Discard, "", 0)
	safe.StartTLS()
	locked := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
	}))
	for _, srv := range []*httptest.Server{plain, safe, locked} {
		defer srv.Close()
	}
	other := refuser(t, "expected one JSON object\n")
	at := func(srv *httptest.Server) string { return srv.Listener.Addr().String() }
	for from, want := range map[string]string{
		"https://" + at(plain):        at(plain) + " speaks HTTP without TLS: expected http://" + at(plain),
		at(safe):                      at(safe) + " speaks HTTP with TLS alone: expected https://" + at(safe),
		"https://" + at(safe):         "the certificate of " + at(safe) + " is not trusted (x509: certificate signed by unknown authority): SSL_CERT_FILE=FILE in the environment names one that is",
		at(plain) + "/porter":         "no nightporter answers below the path \"/porter\" of " + at(plain) + " (404 Not Found): expected the porter's own address, http://" + at(plain) + ", or its path at a reverse proxy",
		at(locked):                    at(locked) + " requires a user and a password: expected http://USER:PASSWORD@" + at(locked),
		"http://anna:x@" + at(locked): at(locked) + " rejects this user and password",
		other:                         "no nightporter answers at " + other + " (the server there does not speak HTTP)",
	} {
		_, err := newAsker(t, from).Status(t.Context())
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v\nwant %s", from, err, want)
		}
	}
}

// What is said where nothing answers depends on what is missing.
func TestUnreachable(t *testing.T) {
	for _, tt := range []struct {
		away           web.Unreachable
		want           string
		name, register bool
	}{
		{web.Unreachable{Host: "pi:13717", Err: syscall.ECONNREFUSED}, "no nightporter answers at pi:13717 (connection refused)", false, true},
		{web.Unreachable{Host: "pi:9717", Err: &net.DNSError{IsNotFound: true}}, `no address was found for "pi"`, true, false},
		{web.Unreachable{Host: "pi:9717", Err: &net.DNSError{IsTimeout: true}}, `no address was found for "pi": the name server does not answer`, true, false},
		{web.Unreachable{Host: "pi", Err: &net.DNSError{Err: "server misbehaving"}}, `no address was found for "pi" (server misbehaving)`, true, false},
	} {
		if got := tt.away.Error(); got != tt.want || tt.away.NoAddress() != tt.name || tt.away.ForRegistrations() != tt.register {
			t.Errorf("%+v: %s, want %+v", tt.away, got, tt)
		}
	}
}

// A name server that is silent is reported as such, before the time for the whole answer is
// over.
func TestClientFindsNoAddress(t *testing.T) {
	over, end := context.WithCancel(context.Background())
	before := net.DefaultResolver
	defer func() {
		end() // and with it the questions that are still open
		net.DefaultResolver = before
	}()
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		context.AfterFunc(over, func() { _ = theirs.Close() })
		return ours, over.Err()
	}}
	const want = `no address was found for "nosuch.invalid": the name server does not answer`
	if _, err := newAsker(t, "nosuch.invalid").Status(t.Context()); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
