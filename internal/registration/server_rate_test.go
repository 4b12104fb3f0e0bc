package registration_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"nightporter/internal/registration"
)

// pipeConn is the server's end of a pipe, with a client address.
type pipeConn struct {
	net.Conn
	from *net.TCPAddr
}

func (c pipeConn) RemoteAddr() net.Addr { return c.from }

// pipeListener is a listener for pipes. It works in a synctest bubble.
type pipeListener struct {
	arrivals chan net.Conn
	closed   chan struct{}
}

func (p *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-p.arrivals:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipeListener) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

func (p *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// bubbleServer is a Server in a synctest bubble.
type bubbleServer struct {
	*registration.Server
	t      *testing.T
	ln     *pipeListener
	log    *bytes.Buffer // complete once the bubble is idle
	mu     sync.Mutex
	counts map[registration.Outcome]int
}

func (r *bubbleServer) observe(c registration.Conclusion) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[c.Outcome]++
}

// inBubble runs f with a Server in a bubble, and ends it afterwards.
func inBubble(t *testing.T, cfg registration.Config, h handlerFunc, f func(*testing.T, *bubbleServer)) {
	synctest.Test(t, func(t *testing.T) {
		r := &bubbleServer{t: t, ln: &pipeListener{make(chan net.Conn), make(chan struct{})}, log: new(bytes.Buffer), counts: make(map[registration.Outcome]int)}
		r.Server = registration.New(cfg, registration.Options{
			Handler: h, Log: slog.New(slog.NewTextHandler(r.log, nil)), Observe: r.observe, Locate: link, Known: known})
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- r.Serve(ctx, r.ln) }()
		f(t, r)
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

// register registers from an address, and returns the answer when the server is idle again.
func (r *bubbleServer) register(from, body string) string {
	r.t.Helper()
	answer := r.call(from, body)
	synctest.Wait()
	return answer
}

func (r *bubbleServer) call(from, body string) string {
	r.t.Helper()
	mine, theirs := net.Pipe()
	r.ln.arrivals <- pipeConn{theirs, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 4711))}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(mine, body) // fails if the connection is refused unread
	}()
	answer, err := io.ReadAll(mine)
	if err != nil {
		r.t.Errorf("from %s: %v", from, err)
	}
	mine.Close()
	<-sent
	return string(answer)
}

// registerMany registers n times, and returns how many were accepted.
func (r *bubbleServer) registerMany(n int, from string) (accepted int) {
	r.t.Helper()
	for range n {
		if r.register(from, goodBody) == "OK." {
			accepted++
		}
	}
	return accepted
}

func limited(perMinute int) registration.Config {
	cfg := config()
	cfg.Rate = perMinute
	return cfg
}

func TestServerLimitsTheRateOfSources(t *testing.T) {
	inBubble(t, limited(60), accept, func(t *testing.T, r *bubbleServer) {
		if got := r.registerMany(40, "192.0.2.7"); got != 30 {
			t.Errorf("%d of 40 at once accepted, want 30", got)
		}
		const want = "too many registrations from 192.0.2.7: expected at most 60 a minute (registration.rate), wait 1s and try again\n"
		if got := r.register("192.0.2.7", goodBody); got != want {
			t.Errorf("answered %q\nwant     %q", got, want)
		}
		if r.counts[registration.Limited] != 11 || r.counts[registration.Accepted] != 30 {
			t.Errorf("counted %v", r.counts)
		}
		if got := r.registerMany(1, "192.0.2.8"); got != 1 {
			t.Error("another source was refused")
		}
		time.Sleep(time.Second)
		if got := r.registerMany(2, "192.0.2.7"); got != 1 {
			t.Errorf("%d accepted after a second, want 1", got)
		}
		// All addresses of a network of 64 bits are one source.
		accepted := 0
		for i := range 40 {
			accepted += r.registerMany(1, fmt.Sprintf("2001:db8::%x", i+1))
		}
		if accepted != 30 {
			t.Errorf("%d of 40 from one network accepted, want 30", accepted)
		}
		if got := r.registerMany(1, "2001:db8:0:1::1"); got != 1 {
			t.Error("another network was refused")
		}
	})
}

// Garbage and silence count like registrations: they cost as much.
func TestServerLimitsTheRateOfGarbage(t *testing.T) {
	inBubble(t, limited(4), accept, func(t *testing.T, r *bubbleServer) {
		for _, body := range []string{"{]", " "} {
			r.register("192.0.2.7", body+"}")
		}
		if got := r.registerMany(1, "192.0.2.7"); got != 0 {
			t.Error("accepted after as much garbage as a minute may see")
		}
	})
}

func TestServerRateFollowsTheConfiguration(t *testing.T) {
	inBubble(t, limited(0), accept, func(t *testing.T, r *bubbleServer) {
		if got := r.registerMany(200, "192.0.2.7"); got != 200 {
			t.Errorf("%d of 200 accepted without a limit", got)
		}
		r.SetConfig(limited(2))
		if got := r.registerMany(3, "192.0.2.7"); got != 1 {
			t.Errorf("%d accepted at 2 a minute, want 1", got)
		}
		r.SetConfig(limited(2)) // a reload is no way around it
		if got := r.registerMany(1, "192.0.2.7"); got != 0 {
			t.Error("accepted after a reload that changed nothing")
		}
	})
}

// A client that is refused for its rate is not counted as an open connection.
func TestRateLimitedClientsAreReleased(t *testing.T) {
	cfg := limited(2)
	cfg.MaxConnections = 1
	inBubble(t, cfg, accept, func(t *testing.T, r *bubbleServer) {
		r.registerMany(10, "192.0.2.7")
		if got := r.registerMany(1, "192.0.2.8"); got != 1 {
			t.Error("another source is refused")
		}
	})
}

// Of each source a few refusals are logged at once, and then one a minute, with
// the peer and the reason; all are counted.
func TestServerLogsRefusalsOncePerSource(t *testing.T) {
	refuse := func(context.Context, registration.Request, registration.Peer) error {
		return registration.Refuse(registration.Refused, "not you")
	}
	inBubble(t, config(), refuse, func(t *testing.T, r *bubbleServer) {
		logged := func(from string, want int) {
			t.Helper()
			var got int
			for line := range strings.Lines(r.log.String()) {
				if strings.Contains(line, `msg="registration refused" peer=`+from+":4711") &&
					strings.Contains(line, `reason="not you"`) && strings.Contains(line, "outcome=refused") {
					got++
				}
			}
			if got != want {
				t.Errorf("%d lines about %s, want %d:\n%s", got, from, want, r.log)
			}
		}
		r.registerMany(10, "192.0.2.7")
		logged("192.0.2.7", 3)
		r.registerMany(1, "192.0.2.8") // is not hidden by the other
		logged("192.0.2.8", 1)
		time.Sleep(59 * time.Second)
		r.registerMany(1, "192.0.2.7")
		logged("192.0.2.7", 3)
		time.Sleep(time.Second)
		r.registerMany(5, "192.0.2.7")
		logged("192.0.2.7", 4)
		if log := r.log.String(); !strings.Contains(log, "unlogged=7") || !strings.Contains(log, "unlogged=1") {
			t.Errorf("the log does not tell how many it left out:\n%s", r.log)
		}
		if got := r.counts[registration.Refused]; got != 17 {
			t.Errorf("%d counted, want 17", got)
		}
	})
}

// The log of many sources together is bounded.
func TestServerLogIsBounded(t *testing.T) {
	refuse := func(context.Context, registration.Request, registration.Peer) error { return fmt.Errorf("not you") }
	inBubble(t, config(), refuse, func(t *testing.T, r *bubbleServer) {
		for i := range 500 {
			r.register(fmt.Sprintf("2001:db8:%x::1", i), goodBody)
		}
		if n := strings.Count(r.log.String(), "registration refused"); n != 20 {
			t.Errorf("%d lines, want 20", n)
		}
	})
}

// The token and the password of a registration are in no answer and in no log.
func TestServerKeepsSecrets(t *testing.T) {
	const token, password = "hunter2-token", "de:ad:be:ef:47:11"
	policy := registration.Policy{Trust: registration.Open, Token: "quite another"}
	judge := func(ctx context.Context, req registration.Request, peer registration.Peer) error {
		_, err := policy.Check(ctx, req, peer, newNetwork())
		return err
	}
	inBubble(t, config(), judge, func(t *testing.T, r *bubbleServer) {
		for _, rest := range []string{
			`"token":"` + token + `"`,
			`"token":["` + token + `"]`,
			`"token":"` + token + `","token":"` + token + `"`,
			`"tokens":"` + token + `","password":"` + password + `"`,
			`"token":"` + token + `","password":"` + password + `"`,
			`"token":"` + token + `","password":"` + password + `!"`,
			`"token":"` + token + `","password":{"` + password + `":1}`,
			`"token":"` + token + `",`,
		} {
			answer := r.register("192.168.1.5", strings.Replace(goodBody, `"name"`, rest+`,"name"`, 1))
			for _, secret := range []string{token, password, policy.Token} {
				if strings.Contains(answer, secret) {
					t.Errorf("%s: answered %q", rest, answer)
				}
				if strings.Contains(r.log.String(), secret) {
					t.Fatalf("%s: logged %s", rest, r.log)
				}
			}
			time.Sleep(time.Minute) // so that each is logged
		}
		policy.Token = token
		if got := r.register("192.168.1.5", strings.Replace(goodBody, `"name"`, `"token":"`+token+`","name"`, 1)); got != "OK." {
			t.Errorf("with the token: %q", got)
		}
		if n := strings.Count(r.log.String(), "\n"); n != 9 || strings.Contains(r.log.String(), token) {
			t.Errorf("%d lines, want 9 without the token:\n%s", n, r.log)
		}
	})
}

// One host cannot hold more connections than its share, from any addresses of its network.
func TestServerIsFairToNetworks(t *testing.T) {
	stay := func(ctx context.Context, _ registration.Request, _ registration.Peer) error {
		<-ctx.Done()
		return ctx.Err()
	}
	cfg := config()
	cfg.HandlerTimeout = time.Minute
	inBubble(t, cfg, stay, func(t *testing.T, r *bubbleServer) {
		const clients, room = 64, 16 // a quarter of 64 connections
		answers := make(chan string, clients)
		for i := range clients {
			go func() { answers <- r.call(fmt.Sprintf("2001:db8::%x", i+1), goodBody) }()
		}
		synctest.Wait()
		if got := len(answers); got != clients-room {
			t.Errorf("%d of %d refused, want %d", got, clients, clients-room)
		}
		for range clients {
			<-answers
		}
	})
}
