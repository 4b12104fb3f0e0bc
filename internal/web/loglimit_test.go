package web_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nightporter/internal/web"
)

func tlsConfig(t *testing.T) string {
	t.Helper()
	certFile, keyFile, _ := certificate(t)
	return writeFile(t, "web.yml", fmt.Sprintf("tls_server_config:\n  cert_file: %s\n  key_file: %s\n", certFile, keyFile))
}

// TestAttackLog: an attacker does again and again what the porter has a line of log
// for.
func TestAttackLog(t *testing.T) {
	broken := prometheus.NewRegistry()
	broken.MustRegister(prometheus.CollectorFunc(func(ch chan<- prometheus.Metric) {
		ch <- prometheus.NewInvalidMetric(prometheus.NewDesc("x", "X.", nil, nil), errors.New("lost"))
	}))
	encrypted := tlsConfig(t)
	for _, tt := range []struct {
		name, event string
		change      func(*web.Options)
		text        string
	}{
		{"garbage for a handshake", "handshake_failed", func(o *web.Options) { o.WebConfig = encrypted }, "0123456789"},
		{"HTTP for a handshake", "handshake_failed", func(o *web.Options) { o.WebConfig = encrypted }, "GET / HTTP/1.1\r\nHost: porter\r\n\r\n"},
		{"nothing for a handshake", "", func(o *web.Options) { o.WebConfig = encrypted }, ""},
		{"streams that end", "stream_ended", nil, "GET /api/v1/events HTTP/1.1\r\nHost: porter\r\nAccept: text/event-stream\r\n\r\n"},
		{"scrapes that fail", "scrape_failed", func(o *web.Options) { o.Gatherer = broken }, "GET /metrics HTTP/1.1\r\nHost: porter\r\n\r\n"},
		{"a handler that panics", "http_failed", func(o *web.Options) { o.Gatherer = panicking{} }, "GET /metrics HTTP/1.1\r\nHost: porter\r\n\r\n"},
		{"garbage for a request", "", nil, "\x00\x01\x02\r\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, stop := attackable(t, tt.change)
				for range 600 { // for a minute
					began := time.Now()
					c := b.from("10.0.0.1")
					go send(c, tt.text)
					_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
					_, _ = io.Copy(io.Discard, c)
					c.Close()
					time.Sleep(100*time.Millisecond - time.Since(began))
				}
				stop()
				lines := strings.Split(b.log.String(), "\n")
				said := 0
				for _, line := range lines {
					if tt.event != "" && strings.Contains(line, "event="+tt.event) {
						said++
					}
				}
				// 3 at once, then 3 a minute; the toolkit's own at the start.
				if len(lines) > 12 || tt.event != "" && (said == 0 || !strings.Contains(b.log.String(), "unlogged=")) {
					t.Errorf("%d lines, %d of them about it; want a few, with a count of the others:\n%s", len(lines), said, b.log)
				}
			})
		})
	}
}

// Failed handshakes are no concern of an operator who has not asked for details.
func TestHandshakesAreDetails(t *testing.T) {
	var l log
	opts := options(new(fakeBackend))
	opts.Listen, opts.WebConfig, opts.Log = []string{"127.0.0.1:0"}, tlsConfig(t), slog.New(slog.NewTextHandler(&l, nil))
	r := run(t, opts)
	addr := strings.TrimPrefix(r.urls[0], "http://")
	for range 20 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		send(c, "0123456789")
		_, _ = io.Copy(io.Discard, c) // until it is refused
		c.Close()
	}
	if strings.Contains(l.String(), "handshake") {
		t.Errorf("logged:\n%s", &l)
	}
	secure := newClient(t)
	secure.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	if got := status(t, secure, "GET", "https://"+addr+"/-/healthy", "", ""); got != 200 {
		t.Errorf("afterwards: status %d", got)
	}
}
