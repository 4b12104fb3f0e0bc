package web_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/machine"
	"nightporter/internal/ratelimit"
	"nightporter/internal/web"
)

// target is a server whose clients have the addresses that a test gives them, in
// the test's own time.
type target struct {
	*testing.T
	pipes   *pipes
	backend *fakeBackend
	log     *log
}

// attackable serves until stop is called. What change sets is attacked.
func attackable(t *testing.T, change func(*web.Options)) (b *target, stop func()) {
	t.Helper()
	b = &target{T: t, backend: &fakeBackend{eventLog: eventLog{room: 64}, machines: []machine.Status{nas()}}, log: new(log)}
	opts := options(b.backend)
	opts.Log = b.log.verbose()
	if change != nil {
		change(&opts)
	}
	b.pipes, stop = runOn(t, opts)
	return b, stop
}

// oneHost has all addresses of 10.0.0.0/8 be one source, as those of one network
// card are.
func oneHost(addr netip.Addr) ratelimit.Source {
	if host := netip.MustParsePrefix("10.0.0.0/8"); host.Contains(addr.Unmap()) {
		addr = host.Addr()
	}
	return ratelimit.SourceOf(addr)
}

// addressed is a connection from an address.
type addressed struct {
	net.Conn
	remote net.Addr
}

func (c addressed) RemoteAddr() net.Addr { return c.remote }

// from returns a connection of a client at ip.
func (b *target) from(ip string) net.Conn {
	b.Helper()
	c, err := b.pipes.dialFrom(b.Context(), ip)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// client is an honest client at ip. Each of its requests has a connection of its
// own unless keep is set.
func (b *target) client(ip string, keep bool) *http.Client {
	return &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: !keep,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return b.pipes.dialFrom(ctx, ip) },
	}}
}

// get returns the status of a page for a client at ip, and 0 where there is no
// answer.
func (b *target) get(ip, path string, headers ...string) int {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), "GET", "http://porter"+path, http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := b.client(ip, false).Do(r)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0
	}
	return resp.StatusCode
}

// send writes to a connection that may be closed meanwhile.
func send(c net.Conn, text string) { _, _ = io.WriteString(c, text) }

// answered reads the head of an answer, and nothing of its body.
func answered(c net.Conn) (*http.Response, error) { return http.ReadResponse(bufio.NewReader(c), nil) }

// wantAll checks that what others ask for is answered at once.
func (b *target) wantAll(what string) {
	b.Helper()
	began := time.Now()
	got, want := make(map[string]int), make(map[string]int)
	for _, q := range []struct{ ip, path string }{
		{"127.0.0.1", "/-/healthy"}, {"::1", "/-/healthy"}, {"192.0.2.9", "/metrics"}, {"2001:db8::9", "/metrics"},
		{"192.0.2.9", "/"}, {"192.0.2.9", "/api/v1/machines"}, {"192.0.2.9", "/api/v1/events"},
	} {
		got[q.path+" for "+q.ip], want[q.path+" for "+q.ip] = b.get(q.ip, q.path), 200
		synctest.Wait() // until the connection is closed
	}
	if diff := cmp.Diff(want, got); diff != "" {
		b.Errorf("%s (-want +got):\n%s", what, diff)
	}
	if took := time.Since(began); took > time.Second {
		b.Errorf("%s: answered after %v, want at once", what, took)
	}
}
