package web_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/web"
)

// pipes is a listener without a network, so that the time in a test is the
// test's own. What one side writes waits until the other reads.
type pipes struct {
	dialled chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

func newPipes() *pipes { return &pipes{dialled: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.dialled:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return p.dialFrom(ctx, "127.0.0.1")
}

// dialFrom connects a client at ip.
func (p *pipes) dialFrom(ctx context.Context, ip string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.dialled <- addressed{there, &net.TCPAddr{IP: net.ParseIP(ip), Port: 40000}}:
		return here, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// runPiped serves h without a network until stop is called.
func runPiped(t *testing.T, h *fakeBackend, webConfig string) (p *pipes, stop func()) {
	t.Helper()
	opts := options(h)
	opts.WebConfig = webConfig
	return runOn(t, opts)
}

func runOn(t *testing.T, opts web.Options) (p *pipes, stop func()) {
	t.Helper()
	p = newPipes()
	s := newServer(t, opts)
	s.UseListener(p)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	return p, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// No limit of the server's on requests ends a stream, and no proxy takes it for
// dead.
func TestStreamOutlivesTheLimits(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %t", encrypted), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { outlive(t, encrypted) })
		})
	}
}

func outlive(t *testing.T, encrypted bool) {
	h := &fakeBackend{eventLog: eventLog{room: 64}}
	scheme, webConfig := "http", ""
	transport := &http.Transport{ForceAttemptHTTP2: true}
	if encrypted {
		certFile, keyFile, pool := certificate(t)
		scheme, webConfig = "https", writeFile(t, "web.yml",
			fmt.Sprintf("tls_server_config:\n  cert_file: %s\n  key_file: %s\n", certFile, keyFile))
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	p, stop := runPiped(t, h, webConfig)
	transport.DialContext = p.dial
	c := &http.Client{Transport: transport}
	l := listen(t, c, scheme+"://127.0.0.1/api/v1/events")
	if got := l.resp.ProtoMajor; encrypted != (got == 2) {
		t.Errorf("HTTP/%d", got)
	}
	start := time.Now()
	for i := range 240 {
		if !l.lines.Scan() || l.lines.Text() != ": keep-alive" || !l.lines.Scan() || l.lines.Text() != "" {
			t.Fatalf("after %v: %q, %v; want a keep-alive", time.Since(start), l.lines.Text(), l.lines.Err())
		}
		if got, want := time.Since(start), time.Duration(i+1)*15*time.Second; got != want {
			t.Fatalf("keep-alive number %d after %v, want %v", i+1, got, want)
		}
	}
	h.happen("nas")
	if seq, err := l.next(); seq != 1 || err != nil {
		t.Errorf("after an hour: event %d, %v", seq, err)
	}
	l.hangs()
	transport.CloseIdleConnections()
	stop()
}

// piped has a client follow h that reads only when the test says so.
func piped(t *testing.T, h *fakeBackend) (l *listener, stop func()) {
	t.Helper()
	p, stopServer := runPiped(t, h, "")
	c := &http.Client{Transport: &http.Transport{DialContext: p.dial}}
	l = listen(t, c, "http://porter/api/v1/events")
	return l, func() {
		l.hangs()
		stopServer()
	}
}

func TestClientThatDoesNotReadIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeBackend{eventLog: eventLog{room: 64}}
		_, stop := piped(t, h)
		defer stop()
		start := time.Now()
		h.happen("nas")
		for h.following() > 0 && time.Since(start) < time.Minute {
			time.Sleep(time.Second)
		}
		if took := time.Since(start); took < 9*time.Second || took > 12*time.Second {
			t.Errorf("cut off after %v, want 10 s", took)
		}
	})
}

// A client that pauses, while more happens than there is room for, gets it all,
// also if nothing happens afterwards.
func TestStreamCatchesUp(t *testing.T) {
	for _, room := range []int{1, 2, 64} {
		synctest.Test(t, func(t *testing.T) {
			h := &fakeBackend{eventLog: eventLog{room: room}}
			l, stop := piped(t, h)
			defer stop()
			h.happen("nas")
			synctest.Wait() // until it is being sent
			h.happen(make([]string, 200)...)
			if diff := cmp.Diff(from(1, 201), l.until(t, 201)); diff != "" {
				t.Errorf("room for %d (-want +got):\n%s", room, diff)
			}
			h.happen("nas", "pc")
			if diff := cmp.Diff(from(202, 203), l.until(t, 203)); diff != "" {
				t.Errorf("room for %d, afterwards (-want +got):\n%s", room, diff)
			}
		})
	}
}

// A stream has no holes: one for which the past is forgotten already ends.
func TestStreamWithoutPastEnds(t *testing.T) {
	for _, room := range []uint64{1, 64} {
		synctest.Test(t, func(t *testing.T) {
			h := &fakeBackend{eventLog: eventLog{room: int(room), keep: 100}}
			l, stop := piped(t, h)
			defer stop()
			h.happen("nas")
			synctest.Wait()
			h.happen(make([]string, 200)...)
			if diff := cmp.Diff(from(1, room+1), l.until(t, room+1)); diff != "" {
				t.Errorf("room for %d (-want +got):\n%s", room, diff)
			}
			if seq, err := l.next(); !errors.Is(err, io.EOF) {
				t.Errorf("room for %d: event %d, %v; want the end", room, seq, err)
			}
		})
	}
}
