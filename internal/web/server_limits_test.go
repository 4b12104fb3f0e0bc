package web_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
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
	opts := options(new(fakeBackend))
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

func TestRequestHeadersAreLimited(t *testing.T) {
	opts := options(new(fakeBackend))
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
