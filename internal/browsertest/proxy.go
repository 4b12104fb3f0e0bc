package browsertest

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"slices"
	"sync"
	"testing"
)

// Dial connects to an address, as net.Dialer does.
type Dial = func(ctx context.Context, network, addr string) (net.Conn, error)

// proxy is the HTTP proxy through which the browser sends every request.
type proxy struct {
	url string

	mu    sync.Mutex
	known []string        // hosts that the test allows; the browser also requests others
	alive context.Context // context of the running requests
	cut   context.CancelFunc
}

// newProxy starts a proxy on the loopback interface that runs until the test ends.
func newProxy(tb testing.TB, dial Dial) *proxy {
	p := new(proxy)
	p.mend()
	onward := &httputil.ReverseProxy{
		Rewrite:       func(*httputil.ProxyRequest) {}, // a request to a proxy names its host
		Transport:     &http.Transport{DialContext: dial, DisableKeepAlives: true},
		FlushInterval: -1,                         // otherwise the proxy delays event streams
		ErrorLog:      log.New(io.Discard, "", 0), // the browser reports the error
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		alive, known := p.enter(r.Host)
		defer context.AfterFunc(alive, cancel)()
		if !known || alive.Err() != nil {
			panic(http.ErrAbortHandler) // the connection is closed without an answer
		}
		onward.ServeHTTP(w, r.WithContext(ctx))
	}))
	tb.Cleanup(func() {
		p.sever()
		srv.Close()
	})
	p.url = srv.URL
	return p
}

func (p *proxy) enter(host string) (alive context.Context, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.alive, slices.Contains(p.known, host)
}

func (p *proxy) allow(host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known = append(p.known, host)
}

// sever closes all connections and rejects new ones.
func (p *proxy) sever() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut()
}

// mend accepts connections again after sever.
func (p *proxy) mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.alive, p.cut = context.WithCancel(context.Background())
}
