package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nightporter/internal/lab"
	"nightporter/internal/labdaemon"
)

// webAttacker is one host of the LAN that attacks the HTTP port from several addresses.
type webAttacker struct {
	host  *lab.Host
	from  []netip.Addr
	to    string
	dials atomic.Int64
}

// addWebAttacker adds a host with n addresses of a family.
func addWebAttacker(h *harness, n int, v6 bool) *webAttacker {
	h.Helper()
	at := func(i int) netip.Prefix {
		if v6 {
			return netip.MustParsePrefix(fmt.Sprintf("fd77::6:%x/64", i))
		}
		return netip.MustParsePrefix(fmt.Sprintf("10.77.0.%d/24", 100+i))
	}
	host, err := h.lan.AddHost("attacker", at(0))
	h.must(err)
	to := h.lan.Porter().Addr4()
	if v6 {
		to = h.lan.Porter().Addr6()
	}
	s := &webAttacker{host: host, from: []netip.Addr{at(0).Addr()}, to: netip.AddrPortFrom(to, labdaemon.HTTPPort).String()}
	for i := 1; i < n; i++ {
		h.must(host.AddAddr(h.ctx, at(i)))
		s.from = append(s.from, at(i).Addr())
	}
	return s
}

// dial connects from the next of the addresses, with the smallest receive window that the
// kernel allows.
func (s *webAttacker) dial(ctx context.Context) (conn net.Conn, err error) {
	i := int(s.dials.Add(1)) % len(s.from)
	d := net.Dialer{
		LocalAddr: &net.TCPAddr{IP: s.from[i].AsSlice()}, Timeout: 2 * time.Second,
		Control: func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1) })
		},
	}
	err = s.host.Do(func() error {
		conn, err = d.DialContext(ctx, "tcp", s.to)
		return err
	})
	return conn, err
}

// webAttack is what an attacker does on one connection. The connection ends with ctx.
type webAttack struct {
	name  string
	slots int           // connections at once
	pause time.Duration // before the next connection
	do    func(ctx context.Context, conn net.Conn)
}

// readUntilClosed reads until the porter closes the connection.
func readUntilClosed(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// httpRequests returns n copies of a request.
func httpRequests(n int, method, path string, headers ...string) string {
	lines := append([]string{method + " " + path + " HTTP/1.1", "Host: porter", "Content-Length: 0"}, headers...)
	return strings.Repeat(strings.Join(lines, "\r\n")+"\r\n\r\n", n)
}

// requestUnread requests a long page 40 times, and reads nothing for some seconds.
func requestUnread(path string) func(context.Context, net.Conn) {
	return func(ctx context.Context, conn net.Conn) {
		_, _ = io.WriteString(conn, httpRequests(40, "GET", path))
		select {
		case <-time.After(5 * time.Second):
		case <-ctx.Done():
		}
	}
}

// writeAndHold writes a text and holds the connection.
func writeAndHold(text string) func(context.Context, net.Conn) {
	return func(_ context.Context, conn net.Conn) {
		_, _ = io.WriteString(conn, text)
		readUntilClosed(conn)
	}
}

// plainAttacks returns the attacks on a porter without passwords and TLS.
func plainAttacks() []webAttack {
	again := 20 * time.Millisecond
	return []webAttack{
		{"silent connections", 40, again, writeAndHold("")},
		{"half a header", 40, again, writeAndHold("GET / HTTP/1.1\r\nX-Slow: ")},
		{"connections kept alive", 150, again, writeAndHold(httpRequests(1, "GET", "/-/healthy"))},
		{"unread scrapes", 40, again, requestUnread("/metrics")},
		{"unread pages", 40, again, requestUnread("/")},
		{"streams", 64, again, writeAndHold(httpRequests(1, "GET", "/api/v1/events", "Accept: text/event-stream"))},
		{"streams that end", 4, again, func(_ context.Context, conn net.Conn) {
			_, _ = io.WriteString(conn, httpRequests(1, "GET", "/api/v1/events", "Accept: text/event-stream"))
			_, _ = conn.Read(make([]byte, 1))
		}},
		{"wakes of nothing", 4, again, writeAndHold(httpRequests(1, "POST", "/api/v1/machines/nothing/wake", "Connection: close"))},
	}
}

// securedAttacks returns the attacks on a porter with passwords and TLS.
func securedAttacks() []webAttack {
	return []webAttack{
		{"silent connections", 150, 20 * time.Millisecond, writeAndHold("")},
		{"failed handshakes", 8, time.Millisecond, writeAndHold("0123456789")},
		{"wrong passwords", 16, time.Millisecond, func(_ context.Context, conn net.Conn) {
			c := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
			guess := fmt.Sprintf("%d:%d", time.Now().UnixNano(), time.Now().UnixNano())
			_, _ = io.WriteString(c, httpRequests(1, "GET", "/", "Authorization: Basic "+base64Of(guess)))
			readUntilClosed(c)
		}},
	}
}

// run makes all attacks at once, until ctx ends. It returns the number of connections when all
// are closed.
func (s *webAttacker) run(ctx context.Context, all []webAttack) int64 {
	before := s.dials.Load()
	var slots sync.WaitGroup
	for _, a := range all {
		for range a.slots {
			slots.Go(func() { s.repeat(ctx, a) })
		}
	}
	slots.Wait()
	return s.dials.Load() - before
}

func (s *webAttacker) repeat(ctx context.Context, a webAttack) {
	for ctx.Err() == nil {
		if conn, err := s.dial(ctx); err == nil {
			stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
			a.do(ctx, conn)
			stop()
			conn.Close()
		}
		select {
		case <-time.After(a.pause):
		case <-ctx.Done():
		}
	}
}

// webClient is a legitimate client of the porter's pages.
type webClient struct {
	scheme, user, password string
	host                   *lab.Host
	via                    netip.AddrPort
}

func (v webClient) client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return v.host.Dial(ctx, network, v.via.String())
		},
	}}
}

// request sends a request and returns the response. The caller reads its body.
func (v webClient) request(ctx context.Context, method, path string, headers ...string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, v.scheme+"://porter"+path, nil)
	if err != nil {
		return nil, err
	}
	if v.user != "" {
		r.SetBasicAuth(v.user, v.password)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return v.client().Do(r)
}

// get returns the time of a response that contains part, or an error.
func (v webClient) get(ctx context.Context, path, part string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // the default timeout of Prometheus
	defer cancel()
	began := time.Now()
	resp, err := v.request(ctx, http.MethodGet, path)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || !strings.Contains(string(body), part)) {
		err = fmt.Errorf("status %d, %d bytes without %q", resp.StatusCode, len(body), part)
	}
	return time.Since(began), err
}

// followEvents follows the events until end is called, and passes each line on.
func followEvents(h *harness, v webClient) (_ <-chan string, end func()) {
	h.Helper()
	resp, err := v.request(h.ctx, http.MethodGet, "/api/v1/events", "Accept", "text/event-stream")
	h.must(err)
	if resp.StatusCode != http.StatusOK {
		h.Fatalf("a stream: status %d", resp.StatusCode)
	}
	h.Cleanup(func() { resp.Body.Close() })
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for text := bufio.NewScanner(resp.Body); text.Scan(); {
			lines <- text.Text()
		}
	}()
	return lines, func() { resp.Body.Close() }
}

// wantStreamed waits until a stream has an event of a machine.
func wantStreamed(h *harness, lines <-chan string, name string) {
	h.Helper()
	end := time.After(5 * time.Second)
	for {
		select {
		case line, open := <-lines:
			if !open {
				h.Error("a stream of another host ended")
				return
			}
			if strings.HasPrefix(line, "data: ") && strings.Contains(line, `"`+name+`"`) {
				return
			}
		case <-end:
			h.Error("a stream of another host says nothing")
			return
		}
	}
}
