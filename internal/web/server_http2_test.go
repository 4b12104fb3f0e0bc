package web_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"nightporter/internal/web"
)

// askUnread opens a connection of HTTP/2 from ip, asks for a page many times at once,
// and gives no answer any room.
func (b *target) askUnread(ip, path string, times int) net.Conn {
	b.Helper()
	c := tls.Client(b.from(ip), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	var fields bytes.Buffer
	encoder := hpack.NewEncoder(&fields)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "porter"}, {":path", path}} {
		if err := encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			b.Fatal(err)
		}
	}
	go func() {
		send(c, http2.ClientPreface)
		frames := http2.NewFramer(c, c)
		_ = frames.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		go func() { _, _ = io.Copy(io.Discard, c) }() // frames, but no content
		for i := range times {
			_ = frames.WriteHeaders(http2.HeadersFrameParam{
				StreamID: uint32(2*i + 1), BlockFragment: fields.Bytes(), EndHeaders: true, EndStream: true,
			})
		}
	}()
	return c
}

// TestAttackUnreadAnswersOverHTTP2: an attacker has many answers made on one connection,
// and gives none of them any room.
func TestAttackUnreadAnswersOverHTTP2(t *testing.T) {
	config := tlsConfig(t)
	synctest.Test(t, func(t *testing.T) {
		var made atomic.Int64
		b, stop := attackable(t, func(o *web.Options) { o.WebConfig, o.Gatherer = config, &long{made: &made} })
		defer time.Sleep(10 * time.Second) // TLS waits for 5 s to say that a connection is closed
		defer stop()
		for range 3 {
			defer b.askUnread("10.0.0.1", "/metrics", 16).Close()
		}
		synctest.Wait()
		time.Sleep(time.Second)
		if n := made.Load(); n != 4 {
			t.Errorf("%d answers were made for a host that takes none, want 4", n)
		}
		c := &http.Client{Timeout: time.Second, Transport: &http.Transport{
			DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return b.pipes.dialFrom(ctx, "192.0.2.9") },
		}}
		for _, path := range []string{"/metrics", "/", "/api/v1/machines"} {
			if got := status(t, c, "GET", "https://porter"+path, "", ""); got != 200 {
				t.Errorf("%s for another host: status %d", path, got)
			}
		}
	})
}
