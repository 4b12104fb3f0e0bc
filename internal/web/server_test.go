package web_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"nightporter/internal/machine"
	"nightporter/internal/web"
)

// running is a server on loopback.
type running struct {
	urls []string
	stop context.CancelFunc
	done chan error // gets Run's result once
}

// run starts a server and has it stopped when the test ends.
func run(t *testing.T, opts web.Options) *running {
	t.Helper()
	s := newServer(t, opts)
	if err := s.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{stop: cancel, done: make(chan error, 1)}
	for _, a := range s.Addrs() {
		r.urls = append(r.urls, "http://"+a.String())
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.done <- s.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return r
}

// wait returns Run's result and how long it took to come.
func (r *running) wait(t *testing.T) (time.Duration, error) {
	t.Helper()
	start := time.Now()
	select {
	case err := <-r.done:
		return time.Since(start), err
	case <-time.After(10 * time.Second):
		t.Fatal("the server does not stop")
		return 0, nil
	}
}

// newClient returns a client whose connections end with the test.
func newClient(t *testing.T) *http.Client {
	c := &http.Client{Transport: new(http.Transport), Timeout: 10 * time.Second}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func status(t *testing.T, c *http.Client, method, url, user, password string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		r.SetBasicAuth(user, password)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Two listeners with one password file: the toolkit writes to the server that it
// is given, which the race detector would see if there were only one.
func TestPasswords(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("open sesame"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	h := &fakeBackend{machines: []machine.Status{nas()}}
	opts := options(h)
	opts.Listen = []string{"127.0.0.1:0", "127.0.0.1:0"}
	opts.WebConfig = writeFile(t, "web.yml", fmt.Sprintf("basic_auth_users:\n  anna: %q\n", hash))
	r := run(t, opts)
	c := newClient(t)
	for _, url := range r.urls {
		wake := url + "/api/v1/machines/nas/wake"
		if got := status(t, c, "GET", url+"/metrics", "", ""); got != 401 {
			t.Errorf("without a password: status %d, want 401", got)
		}
		if got := status(t, c, "POST", wake, "anna", "guess"); got != 401 {
			t.Errorf("with a wrong password: status %d, want 401", got)
		}
		if got := status(t, c, "POST", wake, "anna", "open sesame"); got != 202 {
			t.Errorf("with the password: status %d, want 202", got)
		}
		if got := status(t, c, "GET", url+"/metrics", "anna", "open sesame"); got != 200 {
			t.Errorf("with the password: status %d, want 200", got)
		}
	}
	r.stop()
	if _, err := r.wait(t); err != nil {
		t.Error(err)
	}
	if got := strings.Join(h.done, ", "); got != "wake nas, wake nas" {
		t.Errorf("did %q, want one wake by each listener", got)
	}
}

func TestOperatorsHeaderIsKept(t *testing.T) {
	opts := options(new(fakeBackend))
	opts.Listen = []string{"127.0.0.1:0"}
	opts.WebConfig = writeFile(t, "web.yml",
		"http_server_config:\n  headers:\n    Content-Security-Policy: frame-ancestors 'self'\n")
	resp, err := newClient(t).Get(run(t, opts).urls[0])
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Header.Get("Content-Security-Policy"); got != "frame-ancestors 'self'" {
		t.Errorf("policy %q, want the operator's", got)
	}
}

func TestPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	opts := options(new(fakeBackend))
	opts.Listen = []string{"127.0.0.1:0", taken.Addr().String()}
	s := newServer(t, opts)
	want := "http.listen: cannot listen on " + taken.Addr().String() + ": address already in use: `ss -ltnp 'sport = :"
	if err := s.Run(t.Context()); err == nil || !strings.HasPrefix(err.Error(), want) || !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("error %v, want %s", err, want)
	}
	if n := len(s.Addrs()); n != 0 {
		t.Errorf("%d sockets stay open, want none", n)
	}
}

func TestBadOptions(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.yml")
	notAKey := writeFile(t, "key.yml", "basic_auth_user: {}\n")
	notAHash := writeFile(t, "hash.yml", "basic_auth_users: {anna: plain}\n")
	noCert := writeFile(t, "cert.yml", "tls_server_config: {cert_file: /nonexistent.pem, key_file: /nonexistent.key}\n")
	tests := []struct {
		name   string
		change func(*web.Options)
		want   []string // parts of the error
	}{
		{"no backend", func(o *web.Options) { o.Backend = nil }, []string{"Backend"}},
		{"no gatherer", func(o *web.Options) { o.Gatherer = nil }, []string{"Gatherer"}},
		{"no file", func(o *web.Options) { o.WebConfig = missing },
			[]string{"http.web_config: " + missing + ": no such file or directory"}},
		{"unknown key", func(o *web.Options) { o.WebConfig = notAKey },
			[]string{"http.web_config: " + notAKey, "line 1: not valid YAML: an unknown key"}},
		{"a password on the wrong line", func(o *web.Options) { o.WebConfig = writeFile(t, "wrong.yml", "basic_auth_users: *swordfish\n") },
			[]string{"wrong.yml: not valid YAML: an alias (*) without its anchor"}},
		{"no hash", func(o *web.Options) { o.WebConfig = notAHash }, []string{"http.web_config: " + notAHash, "bcrypt"}},
		{"no certificate", func(o *web.Options) { o.WebConfig = noCert },
			[]string{"http.web_config: " + noCert, "/nonexistent.pem"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts := options(new(fakeBackend))
			tt.change(&opts)
			_, err := web.New(opts)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q lacks %q", err, part)
				}
			}
		})
	}
}

func TestBadAddresses(t *testing.T) {
	for _, addr := range []string{"9717", "127.0.0.1:99999", "[::1:80", "192.0.2.1:0"} {
		opts := options(new(fakeBackend))
		opts.Listen = []string{addr}
		err := newServer(t, opts).Run(t.Context())
		if err == nil || !strings.HasPrefix(err.Error(), "http.listen: cannot listen on "+addr+": ") {
			t.Errorf("%s: error %v, want one that names key and address", addr, err)
		}
	}
}

// A configuration without http.listen is no error: no client is served.
func TestNoListener(t *testing.T) {
	r := run(t, options(new(fakeBackend)))
	select {
	case err := <-r.done:
		t.Fatalf("ended before it was stopped: %v", err)
	default:
	}
	r.stop()
	if _, err := r.wait(t); err != nil {
		t.Error(err)
	}
}
