package web_test

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"nightporter/internal/web"
)

// slowGatherer holds scrapes until it is released.
type slowGatherer struct {
	entered chan struct{}
	leave   chan struct{}
}

func newSlowGatherer() *slowGatherer {
	return &slowGatherer{entered: make(chan struct{}, 100), leave: make(chan struct{})}
}

func (g *slowGatherer) Gather() ([]*dto.MetricFamily, error) {
	g.entered <- struct{}{}
	<-g.leave
	return nil, nil
}

// long is a gatherer of more series than fit into the buffers of a connection.
type long struct{ made *atomic.Int64 }

func (l *long) Gather() ([]*dto.MetricFamily, error) {
	l.made.Add(1)
	reg := prometheus.NewRegistry()
	knocks := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "knocks_total", Help: "Knocks."}, []string{"machine"})
	for i := range 1000 {
		knocks.WithLabelValues(strconv.Itoa(i))
	}
	reg.MustRegister(knocks)
	return reg.Gather()
}

// TestAttackUnreadAnswers: an attacker asks for all that is long, many times on each
// connection, and reads nothing. The answers of others are made meanwhile.
func TestAttackUnreadAnswers(t *testing.T) {
	for _, addresses := range []int{1, 8, 64} {
		for _, path := range []string{"/metrics", "/", "/api/v1/machines", "/api/v1/machines/nas", "/api/v1/events"} {
			synctest.Test(t, func(t *testing.T) {
				b, stop := attackable(t, func(o *web.Options) { o.Gatherer = &long{made: new(atomic.Int64)} })
				defer stop()
				for i := range 64 {
					c := b.from(fmt.Sprintf("10.0.0.%d", 1+i%addresses))
					defer c.Close()
					go send(c, strings.Repeat("GET "+path+" HTTP/1.1\r\nHost: porter\r\n\r\n", 40))
				}
				synctest.Wait()
				b.wantAll(fmt.Sprintf("%s from %d addresses", path, addresses))
			})
		}
	}
}

// TestAttackUnreadAnswersFillMemory: of all answers that a host asks for and does not
// read, a few are made.
func TestAttackUnreadAnswersFillMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var made atomic.Int64
		b, stop := attackable(t, func(o *web.Options) { o.Gatherer = &long{made: &made} })
		defer stop()
		for range 30 {
			c := b.from("10.0.0.1")
			defer c.Close()
			go holdingWays["unread scrape"](c)
		}
		synctest.Wait()
		if n := made.Load(); n != 4 {
			t.Errorf("%d answers were made for a host that reads none, want 4", n)
		}
	})
}

// TestAttackScrapesInTheMaking: a host has one answer made at a time, however many it
// asks for, so that others have to wait for that one only.
func TestAttackScrapesInTheMaking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newSlowGatherer()
		b, stop := attackable(t, func(o *web.Options) { o.Gatherer = g })
		defer stop()
		codes := make(chan int, 100)
		scrape := func(ip string, n int) {
			for range n {
				go func() { codes <- b.get(ip, "/metrics") }()
			}
			synctest.Wait()
		}
		scrape("10.0.0.1", 20)
		if n := len(g.entered); n != 1 {
			t.Errorf("%d scrapes of one host are in the making, want 1", n)
		}
		for i, want := range []int{2, 3, 3} { // three in all
			if scrape(fmt.Sprintf("10.0.0.%d", 2+i), 1); len(g.entered) != want {
				t.Errorf("%d scrapes are in the making, want %d", len(g.entered), want)
			}
		}
		if got := b.get("192.0.2.9", "/-/healthy"); got != 200 {
			t.Errorf("health: %d meanwhile", got)
		}
		close(g.leave)
		for range 23 {
			if got := <-codes; got != 200 {
				t.Errorf("a scrape that waited for its turn: %d", got)
			}
		}
	})
}

// A scrape that does not end is answered before its client gives up, and nothing is left of
// it afterwards.
func TestLateAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newSlowGatherer()
		b, stop := attackable(t, func(o *web.Options) { o.Gatherer = g })
		defer stop()
		began := time.Now()
		if got, took := b.get("192.0.2.9", "/metrics"), time.Since(began); got != 503 || took != 10*time.Second {
			t.Errorf("a scrape that does not end: %d after %v, want 503 after 10 s", got, took)
		}
		if got := b.get("192.0.2.9", "/"); got != 503 {
			t.Errorf("the page of the same host: %d, want 503 while its scrape is in the making", got)
		}
		close(g.leave)
		synctest.Wait()
		if got := []int{b.get("192.0.2.9", "/metrics"), b.get("192.0.2.9", "/")}; fmt.Sprint(got) != "[200 200]" {
			t.Errorf("afterwards: %v", got)
		}
	})
}

// TestAttackStreams: a host follows the events as often as it can. Others can follow
// them as well, and who does already goes on.
func TestAttackStreams(t *testing.T) {
	for _, addresses := range []int{1, 8, 16} {
		synctest.Test(t, func(t *testing.T) {
			b, stop := attackable(t, nil)
			defer stop()
			before := b.follow("192.0.2.7")
			defer before.Close()
			let := 0
			for i := range 200 {
				c := b.follow(fmt.Sprintf("10.0.0.%d", 1+i%addresses))
				defer c.Close()
				if following(c) {
					let++
				}
			}
			if most := 4 * addresses; let > most {
				t.Errorf("%d streams of %d addresses, want at most %d", let, addresses, most)
			}
			after := b.follow("192.0.2.9")
			defer after.Close()
			if !following(before) || !following(after) {
				t.Errorf("with %d addresses: who followed before goes on: %v, who comes may: %v", addresses, following(before), following(after))
			}
			b.wantAll(fmt.Sprintf("streams from %d addresses", addresses))
		})
	}
}

// follower is a client that follows the events.
type follower struct {
	net.Conn
	lines chan string
}

// follow asks for the events from ip, and waits for what comes of it.
func (b *target) follow(ip string, headers ...string) *follower {
	b.Helper()
	f := &follower{b.from(ip), make(chan string, 1000)}
	go func() {
		send(f, "GET /api/v1/events HTTP/1.1\r\nHost: porter\r\nAccept: text/event-stream\r\n"+strings.Join(headers, "\r\n")+"\r\n")
		buffer := make([]byte, 1<<12)
		for {
			n, err := f.Read(buffer)
			if err != nil {
				close(f.lines)
				return
			}
			f.lines <- string(buffer[:n])
		}
	}()
	synctest.Wait()
	return f
}

// heard returns what f heard and was not looked at yet, with "end" at its end.
func heard(f *follower) (all string) {
	for {
		select {
		case text, open := <-f.lines:
			if !open {
				return all + "end"
			}
			all += text
		default:
			return all
		}
	}
}

// following reports whether f still follows, or has begun to.
func following(f *follower) bool {
	text := heard(f)
	return !strings.HasSuffix(text, "end") && !strings.HasPrefix(text, "HTTP/1.1 503 ")
}

// panicking is a gatherer with a mistake.
type panicking struct{}

func (panicking) Gather() ([]*dto.MetricFamily, error) { panic("a mistake") }
