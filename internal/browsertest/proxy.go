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

// proxy is all that a browser knows of the network.
type proxy struct {
	url string

	mu    sync.Mutex
	known []string        // hosts that may be asked; the browser has wishes of its own
	alive context.Context // of the answers under way
	cut   context.CancelFunc
}

// newProxy listens on the loopback interface until the test ends.
func newProxy(tb testing.TB, dial Dial) *proxy {
	p := new(proxy)
	p.mend()
	onward := &httputil.ReverseProxy{
		Rewrite:       func(*httputil.ProxyRequest) {}, // to a proxy a request names its host
		Transport:     &http.Transport{DialContext: dial, DisableKeepAlives: true},
		FlushInterval: -1,                         // or streams would be held back
		ErrorLog:      log.New(io.Discard, "", 0), // the browser tells of it
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

// sever ends all connections, and takes no more.
func (p *proxy) sever() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut()
}

// mend is the inverse of sever.
func (p *proxy) mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.alive, p.cut = context.WithCancel(context.Background())
}
