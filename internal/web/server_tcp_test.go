package web_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nightporter/internal/machine"
)

// manyHosts is a listener on the loopback whose clients look like those of a network:
// 127.1.0.n is 10.0.0.n, and 127.2.0.n is 192.0.2.n.
type manyHosts struct{ net.Listener }

func (m manyHosts) Accept() (net.Conn, error) {
	c, err := m.Listener.Accept()
	if err != nil {
		return nil, err
	}
	at := *c.RemoteAddr().(*net.TCPAddr)
	ip := at.IP.To4()
	if at.IP = net.IPv4(10, 0, 0, ip[3]); ip[1] == 2 {
		at.IP = net.IPv4(192, 0, 2, ip[3])
	}
	return addressed{c, &at}, nil
}

// crowd is many clients of one server that mean it no good.
type crowd struct {
	to   string
	n    atomic.Int64
	all  sync.WaitGroup
	stop context.Context
}

func (c *crowd) dial(from string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	return d.DialContext(c.stop, "tcp", c.to)
}

// hold keeps a number of connections open, and opens another one from the next address
// for each that is closed. With unread it reads nothing for 5 s.
func (c *crowd) hold(connections int, request string, unread bool) {
	for range connections {
		c.all.Go(func() {
			for c.stop.Err() == nil {
				c.holdOne(request, unread)
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
}

func (c *crowd) holdOne(request string, unread bool) {
	conn, err := c.dial(fmt.Sprintf("127.1.0.%d", 1+c.n.Add(1)%64))
	if err != nil {
		return
	}
	defer conn.Close()
	stop := context.AfterFunc(c.stop, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	send(conn, request)
	if !unread {
		_, _ = io.Copy(io.Discard, conn)
		return
	}
	select {
	case <-time.After(5 * time.Second):
	case <-c.stop.Done():
	}
}

// TestAttackConnectionsOverTCP: an attacker opens thousands of connections a second from
// 64 addresses that count as so many hosts. Another host, which follows the events, has
// each of its requests answered, one right after the other on a connection of its own.
func TestAttackConnectionsOverTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, options(&fakeBackend{eventLog: eventLog{room: 64}, machines: []machine.Status{nas()}}))
	s.UseListener(manyHosts{l})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	const tail = " HTTP/1.1\r\nHost: porter\r\n"
	c := &crowd{to: l.Addr().String(), stop: ctx}
	c.hold(40, "", false)
	c.hold(40, "GET /"+tail, false)
	c.hold(40, strings.Repeat("GET /metrics"+tail+"\r\n", 400), true)
	c.hold(40, strings.Repeat("GET /"+tail+"\r\n", 400), true)
	c.hold(150, "GET /-/healthy"+tail+"\r\n", false)
	c.hold(64, "GET /api/v1/events"+tail+"Accept: text/event-stream\r\n\r\n", false)
	honest := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return c.dial("127.2.0.9") },
	}}
	follower := listen(t, honest, "http://porter/api/v1/events")
	time.Sleep(500 * time.Millisecond) // in which the attacker takes what it can get
	for range 10 {
		for _, path := range []string{"/metrics", "/", "/api/v1/machines"} {
			if got := status(t, honest, "GET", "http://porter"+path, "", ""); got != 200 {
				t.Errorf("%s: status %d", path, got)
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Logf("beside %d connections", c.n.Load())
	follower.hangs()
	cancel()
	c.all.Wait()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
