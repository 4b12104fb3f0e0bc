package web_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"nightporter/internal/ratelimit"
	"nightporter/internal/web"
)

// holdingWays are what an attacker does with each of its connections, to keep them.
var holdingWays = map[string]func(c net.Conn){
	"silent":        func(net.Conn) {},
	"half a header": func(c net.Conn) { send(c, "GET /-/healthy HTTP/1.1\r\nX-Slow: ") },
	"kept alive": func(c net.Conn) {
		send(c, "GET /-/healthy HTTP/1.1\r\nHost: porter\r\n\r\n")
		if resp, err := answered(c); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
		}
	},
	"unread page":    func(c net.Conn) { send(c, strings.Repeat("GET / HTTP/1.1\r\nHost: porter\r\n\r\n", 2)) },
	"unread scrape":  func(c net.Conn) { send(c, "GET /metrics HTTP/1.1\r\nHost: porter\r\n\r\n") },
	"unread list":    func(c net.Conn) { send(c, "GET /api/v1/machines HTTP/1.1\r\nHost: porter\r\n\r\n") },
	"unread events":  func(c net.Conn) { send(c, "GET /api/v1/events HTTP/1.1\r\nHost: porter\r\n\r\n") },
	"unread file":    func(c net.Conn) { send(c, "GET /script.js HTTP/1.1\r\nHost: porter\r\n\r\n") },
	"body that ends": func(c net.Conn) { send(c, "POST /x HTTP/1.1\r\nHost: porter\r\nContent-Length: 9\r\n\r\n") },
}

// TestAttackConnections: an attacker opens as many connections as it can and keeps
// them: silent, within a header, between two requests, with answers that it does
// not read. It has one, eight or 64 addresses, and the server may know or not that
// they are of one host.
func TestAttackConnections(t *testing.T) {
	for name, way := range holdingWays {
		for _, addresses := range []int{1, 8, 64} {
			for known, sourceOf := range map[string]func(netip.Addr) ratelimit.Source{"one host": oneHost, "many hosts": nil} {
				t.Run(fmt.Sprintf("%s/%d/%s", name, addresses, known), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { holdConnections(t, way, addresses, sourceOf) })
				})
			}
		}
	}
}

func holdConnections(t *testing.T, way func(net.Conn), addresses int, sourceOf func(netip.Addr) ratelimit.Source) {
	b, stop := attackable(t, func(o *web.Options) { o.SourceOf = sourceOf })
	defer stop()
	prometheus := b.client("192.0.2.7", true) // was there before
	defer prometheus.CloseIdleConnections()
	status(t, prometheus, "GET", "http://porter/metrics", "", "")
	var kept []net.Conn
	defer func() {
		for _, c := range kept {
			c.Close()
		}
	}()
	for round := range 4 {
		for i := range 160 {
			c := b.from(fmt.Sprintf("10.0.0.%d", 1+i%addresses))
			kept = append(kept, c)
			go way(c)
		}
		synctest.Wait()
		time.Sleep(time.Duration(round%2) * 1100 * time.Millisecond) // a request may take that long
		b.wantAll(fmt.Sprintf("round %d", round))
	}
	if got := status(t, prometheus, "GET", "http://porter/metrics", "", ""); got != 200 {
		t.Errorf("who was there before: %d", got)
	}
	if lines := strings.Count(b.log.String(), "\n"); lines > 20 {
		t.Errorf("%d lines were logged, want a few:\n%s", lines, b.log)
	}
}

// TestAttackConnectionsOfManyHosts: more hosts than there are connections for have one
// each, and keep it.
func TestAttackConnectionsOfManyHosts(t *testing.T) {
	for name, way := range holdingWays {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, stop := attackable(t, nil)
				defer stop()
				for i := range 200 {
					c := b.from(fmt.Sprintf("10.0.%d.%d", i/250, i%250))
					defer c.Close()
					go way(c)
				}
				synctest.Wait()
				time.Sleep(1100 * time.Millisecond) // in which a request may come and be answered
				b.wantAll(name)
			})
		})
	}
}

// TestAttackConnectionsComeAgain: whenever the connections of an attacker are closed it
// opens others, from 64 addresses that count as so many hosts. A host that follows the
// events has all the same time to ask for something.
func TestAttackConnectionsComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, stop := attackable(t, nil)
		defer stop()
		stream := b.follow("192.0.2.9")
		defer stream.Close()
		ctx, end := context.WithCancel(t.Context())
		var attackers sync.WaitGroup
		for name, way := range holdingWays {
			for i := range 40 {
				attackers.Go(func() { b.again(ctx, len(name)+7*i, way) })
			}
		}
		for i := range 64 {
			attackers.Go(func() { b.again(ctx, 5*i, streamWay) })
		}
		time.Sleep(time.Second)
		for i := range 20 {
			c := b.from("192.0.2.9")
			time.Sleep(300 * time.Millisecond) // it is slow, or far away
			go send(c, "GET /-/healthy HTTP/1.1\r\nHost: porter\r\nConnection: close\r\n\r\n")
			if resp, err := answered(c); err != nil || resp.StatusCode != 200 {
				t.Errorf("time %d: %v, %v", i, resp, err)
			}
			c.Close()
			time.Sleep(200 * time.Millisecond)
		}
		if !following(stream) {
			t.Error("the stream has ended")
		}
		end()
		attackers.Wait()
	})
}

func streamWay(c net.Conn) {
	send(c, "GET /api/v1/events HTTP/1.1\r\nHost: porter\r\nAccept: text/event-stream\r\n\r\n")
}

// again opens a connection whenever the one before is closed, from the next address.
func (b *target) again(ctx context.Context, i int, way func(net.Conn)) {
	for ; ctx.Err() == nil; i++ {
		c, err := b.pipes.dialFrom(ctx, fmt.Sprintf("10.0.0.%d", 1+i%64))
		if err != nil {
			return
		}
		go way(c)
		open := context.AfterFunc(ctx, func() { c.Close() })
		for range 200 { // it may be closed at any time, which a write finds out
			time.Sleep(10 * time.Millisecond)
			_ = c.SetWriteDeadline(time.Now().Add(time.Millisecond))
			if _, err := io.WriteString(c, "x"); errors.Is(err, io.ErrClosedPipe) {
				break
			}
		}
		open()
		c.Close()
		time.Sleep(20 * time.Millisecond)
	}
}

// TestAttackConnectionsBesideAStream: a host that follows the events beside many other
// requests is the one that holds most, when an attacker comes with 128 addresses. Its
// stream goes on.
func TestAttackConnectionsBesideAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, stop := attackable(t, nil)
		defer stop()
		stream := b.follow("192.0.2.6")
		defer stream.Close()
		for range 5 {
			c := b.from("192.0.2.6")
			defer c.Close()
			go holdingWays["unread file"](c)
		}
		synctest.Wait()
		time.Sleep(2 * time.Second)
		for i := range 300 {
			c := b.from(fmt.Sprintf("10.0.0.%d", 1+i%128))
			defer c.Close()
			go holdingWays["unread file"](c)
			synctest.Wait()
		}
		b.backend.happen("nas")
		synctest.Wait()
		if text := heard(stream); !strings.Contains(text, `"machine":"nas"`) {
			t.Errorf("the stream says %q, want the event", text)
		}
	})
}

// A connection of HTTP/2 has a few requests at once, not hundreds.
func TestRequestsOfOneConnection(t *testing.T) {
	opts := options(new(fakeBackend))
	opts.Listen, opts.WebConfig = []string{"127.0.0.1:0"}, tlsConfig(t)
	addr := strings.TrimPrefix(run(t, opts).urls[0], "http://")
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	send(c, http2.ClientPreface)
	frames := http2.NewFramer(c, c)
	if err := frames.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	frame, err := frames.ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	settings, ok := frame.(*http2.SettingsFrame)
	if !ok {
		t.Fatalf("the server begins with %v", frame)
	}
	if most, ok := settings.Value(http2.SettingMaxConcurrentStreams); !ok || most != 16 {
		t.Errorf("%d requests at once, want 16", most)
	}
}

// open opens silent connections from ip.
func (b *target) open(ip string, n int) (all []net.Conn) {
	b.Helper()
	for range n {
		all = append(all, b.from(ip))
	}
	synctest.Wait()
	return all
}

// closed returns how many connections the server has closed.
func closed(all []net.Conn) (n int) {
	for _, c := range all {
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); err == io.EOF {
			n++
		}
	}
	return n
}

// A source has a quarter of the connections, and a new one evicts only
// its own oldest ones that wait. Those on the loopback are not counted with others.
func TestConnectionsOfOneSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, stop := attackable(t, nil)
		defer stop()
		other, local := b.open("192.0.2.9", 2), b.open("127.0.0.1", 100)
		many := b.open("10.0.0.1", 40)
		if got := []int{closed(other), closed(local), closed(many[:8]), closed(many[8:])}; fmt.Sprint(got) != "[0 0 8 0]" {
			t.Errorf("closed of another, the loopback, the oldest and the others: %v, want [0 0 8 0]", got)
		}
		for _, c := range append(append(other, local...), many...) {
			c.Close()
		}
	})
}

// Where there is no room the source that holds most gives a connection up: of those that
// wait for a request the oldest.
func TestTheOneThatGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, stop := attackable(t, nil)
		defer stop()
		fewer := b.open("10.0.0.1", 10)
		busy := b.open("10.0.0.2", 5)
		for _, c := range busy {
			go holdingWays["unread file"](c)
		}
		idle := b.open("10.0.0.2", 15)
		for i := range 98 {
			defer b.from(fmt.Sprintf("10.0.1.%d", i)).Close()
		}
		time.Sleep(2 * time.Second)
		newcomer := b.open("10.0.0.3", 1)
		got := []int{closed(fewer), closed(busy), closed(idle[:1]), closed(idle[1:]), closed(newcomer)}
		if fmt.Sprint(got) != "[0 0 1 0 0]" {
			t.Errorf("closed of a source with fewer, the busy, the oldest idle, the others, the newcomer: %v, want [0 0 1 0 0]", got)
		}
		for _, c := range append(append(append(fewer, busy...), idle...), newcomer...) {
			c.Close()
		}
	})
}

// A connection that waits for a request for half a minute is closed.
func TestIdleConnectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, stop := attackable(t, nil)
		defer stop()
		c := b.from("192.0.2.9")
		defer c.Close()
		go holdingWays["kept alive"](c)
		began := time.Now()
		synctest.Wait()
		if _, err := c.Read(make([]byte, 1)); err != io.EOF || time.Since(began) != 30*time.Second {
			t.Errorf("%v after %v, want the end after 30 s", err, time.Since(began))
		}
	})
}
