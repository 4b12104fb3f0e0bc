package web_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestAttackRequests: requests that are not as RFC 9112 has them, that two servers
// could read differently, or that are too long. None of them wakes a machine.
func TestAttackRequests(t *testing.T) {
	const wake = "/api/v1/machines/nas/wake"
	post := func(lines ...string) string {
		return "POST " + wake + " HTTP/1.1\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
	}
	for _, tt := range []struct {
		name, request string
		want          []int // any of these; 0: no answer
	}{
		{"no host", post("X-A: b"), []int{400}},
		{"two hosts", post("Host: porter", "Host: evil.example"), []int{400}},
		{"two lengths", post("Host: porter", "Content-Length: 0", "Content-Length: 5"), []int{400}},
		{"a length that is none", post("Host: porter", "Content-Length: -1"), []int{400}},
		{"two encodings", post("Host: porter", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), []int{400, 501}},
		{"an unknown encoding", post("Host: porter", "Transfer-Encoding: xchunked"), []int{400, 501}},
		{"NUL in a header", post("Host: porter", "X-A: \x00"), []int{400}},
		{"a space before the colon", post("Host : porter"), []int{400}},
		{"a name with a space in the host", post("Host: por ter"), []int{400}},
		{"a line folded", post("Host: porter", "X-A: b", " Host: c"), []int{202, 400}},
		{"HTTP/0.9", "GET /\r\n", []int{400}},
		{"HTTP/2 by a preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{0, 400, 404, 405, 505}},
		{"HTTP/3.0", "GET / HTTP/3.0\r\nHost: porter\r\n\r\n", []int{505}},
		{"40 kB of headers", post("Host: porter", "X-A: "+strings.Repeat("b", 40<<10)), []int{431}},
		{"a path that climbs", "GET /../../etc/passwd HTTP/1.1\r\nHost: porter\r\n\r\n", []int{301, 307, 404}},
		{"a path that climbs, encoded", "GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: porter\r\n\r\n", []int{301, 307, 404}},
		{"an encoded slash", "POST /api/v1/machines%2Fnas/wake HTTP/1.1\r\nHost: porter\r\nContent-Length: 0\r\n\r\n", []int{404, 405}},
		{"another host in the target", "POST http://evil.example" + wake + " HTTP/1.1\r\nHost: porter\r\nOrigin: http://evil.example\r\nContent-Length: 0\r\n\r\n", []int{403}},
		{"a proxy", "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n", []int{404, 405}},
		{"an unencrypted upgrade to HTTP/2", "GET /-/healthy HTTP/1.1\r\nHost: porter\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n", []int{200}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, stop := attackable(t, nil)
				defer stop()
				got, location := b.raw(tt.request)
				if !contained(got, tt.want) {
					t.Errorf("status %d, want one of %v", got, tt.want)
				}
				if strings.Contains(location, "//") || location != "" && !strings.HasPrefix(location, "/") {
					t.Errorf("sent on to %q, want a path of the porter's", location)
				}
				if got != 202 && len(b.backend.done) != 0 {
					t.Errorf("did %q", b.backend.done)
				}
			})
		})
	}
}

func contained(n int, all []int) bool { return strings.Contains(fmt.Sprint(all)+" ", fmt.Sprint(n)) }

// raw sends a request as it is, and returns the status of the answer, and where it
// sends the client on to. Without an answer the status is 0.
func (b *target) raw(request string) (status int, location string) {
	b.Helper()
	c := b.from("192.0.2.9")
	defer c.Close()
	go send(c, request)
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	resp, err := answered(c)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Location")
}

// TestAttackSmuggledRequests: a body that hides a request behind a length and an
// encoding that contradict each other is no second request.
func TestAttackSmuggledRequests(t *testing.T) {
	const hidden = "POST /api/v1/machines/nas/wake HTTP/1.1\r\nHost: porter\r\nContent-Length: 0\r\n\r\n"
	for name, request := range map[string]string{
		"length and encoding": "POST /x HTTP/1.1\r\nHost: porter\r\nContent-Length: " + fmt.Sprint(len(hidden)+5) +
			"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"encoding in disguise": "POST /x HTTP/1.1\r\nHost: porter\r\nContent-Length: 4\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + hidden,
		"an obsolete fold":     "GET /x HTTP/1.1\r\nHost: porter\r\nX-A: b\r\n " + hidden,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, stop := attackable(t, nil)
				defer stop()
				c := b.from("192.0.2.9")
				defer c.Close()
				go send(c, request)
				drain(c)
				if len(b.backend.done) != 0 {
					t.Errorf("did %q", b.backend.done)
				}
			})
		})
	}
}

// drain reads until nothing comes for a second.
func drain(c net.Conn) {
	for {
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := c.Read(make([]byte, 4096)); err != nil {
			return
		}
	}
}

// TestAttackAskedByName: an answer is never to be framed, sniffed or stored, nor does
// it say more than it has to, whatever was asked for. The page alone may be framed, by
// pages of its own origin.
func TestAttackAskedByName(t *testing.T) {
	h := new(fakeBackend)
	h.machines = append(h.machines, nas())
	for _, path := range []string{"/", "/metrics", "/-/healthy", "/-/ready", "/script.js", "/style.css", "/icon.svg", "/icon-32.png", "/manifest.webmanifest", "/api/v1/machines", "/api/v1/x", "/x"} {
		for _, method := range []string{"GET", "HEAD", "POST", "DELETE", "OPTIONS"} {
			header := ask(t, h, method, path).Header()
			frames := "frame-ancestors 'none'"
			if path == "/" {
				frames = "frame-ancestors 'self'"
			}
			for name, part := range map[string]string{
				"Content-Security-Policy": frames, "X-Content-Type-Options": "nosniff",
				"Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			} {
				if got := header.Get(name); !strings.Contains(got, part) {
					t.Errorf("%s %s: %s is %q, want %s", method, path, name, got, part)
				}
			}
			if header.Get("Server") != "" || header.Get("X-Powered-By") != "" {
				t.Errorf("%s %s: %v", method, path, header)
			}
		}
	}
}

// readAnswer reads one whole answer, and returns its status.
func readAnswer(r *bufio.Reader) (int, http.Header, error) {
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return 0, nil, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Header, err
}
