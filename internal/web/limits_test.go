package web_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// certificate returns the files of a certificate for 127.0.0.1 and its key, and
// a pool that trusts it.
func certificate(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	pool = x509.NewCertPool()
	if !pool.AppendCertsFromPEM(public) {
		t.Fatal("the certificate is not accepted")
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	return writeFile(t, "cert.pem", string(public)), writeFile(t, "key.pem", string(private)), pool
}

func TestTLS(t *testing.T) {
	certFile, keyFile, pool := certificate(t)
	opts := options(new(house))
	opts.Listen = []string{"127.0.0.1:0", "127.0.0.1:0"}
	opts.WebConfig = writeFile(t, "web.yml",
		fmt.Sprintf("tls_server_config:\n  cert_file: %s\n  key_file: %s\n", certFile, keyFile))
	r := run(t, opts)
	c := newClient(t)
	c.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	for _, url := range r.urls {
		if got := status(t, c, "GET", strings.Replace(url, "http:", "https:", 1)+"/-/healthy", "", ""); got != 200 {
			t.Errorf("over TLS: status %d, want 200", got)
		}
		if got := status(t, c, "GET", url+"/-/healthy", "", ""); got != 400 {
			t.Errorf("without TLS: status %d, want 400", got)
		}
	}
}

// slowGatherer holds scrapes until it is released.
type slowGatherer struct {
	entered chan struct{}
	leave   chan struct{}
}

func (g *slowGatherer) Gather() ([]*dto.MetricFamily, error) {
	g.entered <- struct{}{}
	<-g.leave
	return nil, nil
}

func TestScrapesAreLimited(t *testing.T) {
	const limit = 3
	g := &slowGatherer{entered: make(chan struct{}, limit+1), leave: make(chan struct{})}
	opts := options(new(house))
	opts.Gatherer = g
	h := newServer(t, opts).Handler()
	scrape := func() int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		return w.Code
	}
	var all sync.WaitGroup
	for range limit {
		all.Go(func() {
			if got := scrape(); got != 200 {
				t.Errorf("a scrape within the limit: status %d, want 200", got)
			}
		})
		<-g.entered
	}
	if got := scrape(); got != 503 {
		t.Errorf("a scrape too many: status %d, want 503", got)
	}
	close(g.leave)
	all.Wait()
	if got := scrape(); got != 200 {
		t.Errorf("a scrape afterwards: status %d, want 200", got)
	}
}

// Clients that connect and say nothing cannot take every file descriptor of the
// porter: the one too many waits for a place.
func TestConnectionsAreLimited(t *testing.T) {
	const limit = 128
	opts := options(new(house))
	opts.Listen = []string{"127.0.0.1:0"}
	addr := strings.TrimPrefix(run(t, opts).urls[0], "http://")
	conns := make([]net.Conn, limit+1)
	for i := range conns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns[i] = c
	}
	last := conns[limit]
	if _, err := fmt.Fprint(last, "GET /-/healthy HTTP/1.1\r\nHost: porter\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 12)
	read := func(within time.Duration) error {
		if err := last.SetReadDeadline(time.Now().Add(within)); err != nil {
			return err
		}
		_, err := last.Read(answer)
		return err
	}
	var timeout net.Error
	if err := read(200 * time.Millisecond); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("the connection too many got %q, %v; want nothing yet", answer, err)
	}
	conns[0].Close()
	if err := read(10 * time.Second); err != nil || string(answer) != "HTTP/1.1 200" {
		t.Errorf("after another went: %q, %v; want an answer", answer, err)
	}
}

func TestRequestHeadersAreLimited(t *testing.T) {
	opts := options(new(house))
	opts.Listen = []string{"127.0.0.1:0"}
	r, err := http.NewRequestWithContext(t.Context(), "GET", run(t, opts).urls[0], http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Long", strings.Repeat("x", 64<<10))
	resp, err := newClient(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d, want 431", resp.StatusCode)
	}
}
