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

// visitor is a client's end of a pipe, with an address of its own.
type visitor struct {
	net.Conn
	from *net.TCPAddr
}

func (v visitor) RemoteAddr() net.Addr { return v.from }

// porch is a listener whose clients have any address that a test likes, and
// whose time is that of a synctest bubble.
type porch struct {
	arrivals chan net.Conn
	closed   chan struct{}
}

func (p *porch) Accept() (net.Conn, error) {
	select {
	case c := <-p.arrivals:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *porch) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

func (p *porch) Addr() net.Addr { return &net.TCPAddr{} }

// reception is a Server at a porch.
type reception struct {
	*registration.Server
	t      *testing.T
	porch  *porch
	log    *bytes.Buffer // complete once the bubble is idle
	mu     sync.Mutex
	counts map[registration.Outcome]int
}

func (r *reception) observe(c registration.Conclusion) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[c.Outcome]++
}

// receive runs f with a Server in a bubble, and ends it afterwards.
func receive(t *testing.T, cfg registration.Config, h registration.HandlerFunc, f func(*testing.T, *reception)) {
	synctest.Test(t, func(t *testing.T) {
		r := &reception{t: t, porch: &porch{make(chan net.Conn), make(chan struct{})}, log: new(bytes.Buffer), counts: make(map[registration.Outcome]int)}
		r.Server = registration.New(cfg, registration.Options{
			Handler: h, Log: slog.New(slog.NewTextHandler(r.log, nil)), Observe: r.observe, Locate: link, Known: known})
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- r.Serve(ctx, r.porch) }()
		f(t, r)
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

// visit registers from an address, and returns the answer once the server has
// nothing more to do about it.
func (r *reception) visit(from, body string) string {
	r.t.Helper()
	answer := r.call(from, body)
	synctest.Wait()
	return answer
}

func (r *reception) call(from, body string) string {
	r.t.Helper()
	mine, theirs := net.Pipe()
	r.porch.arrivals <- visitor{theirs, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 4711))}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(mine, body) // fails where the client is turned away unread
	}()
	answer, err := io.ReadAll(mine)
	if err != nil {
		r.t.Errorf("from %s: %v", from, err)
	}
	mine.Close()
	<-sent
	return string(answer)
}

// visits registers n times, and returns how many were accepted.
func (r *reception) visits(n int, from string) (accepted int) {
	r.t.Helper()
	for range n {
		if r.visit(from, goodBody) == "OK." {
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

func TestServerRationsSources(t *testing.T) {
	receive(t, limited(60), accept, func(t *testing.T, r *reception) {
		if got := r.visits(40, "192.0.2.7"); got != 30 {
			t.Errorf("%d of 40 at once accepted, want 30", got)
		}
		const want = "too many registrations from 192.0.2.7: expected at most 60 a minute (registration.rate), wait 1s and try again\n"
		if got := r.visit("192.0.2.7", goodBody); got != want {
			t.Errorf("answered %q\nwant     %q", got, want)
		}
		if r.counts[registration.Limited] != 11 || r.counts[registration.Accepted] != 30 {
			t.Errorf("counted %v", r.counts)
		}
		if got := r.visits(1, "192.0.2.8"); got != 1 {
			t.Error("another source was held up")
		}
		time.Sleep(time.Second)
		if got := r.visits(2, "192.0.2.7"); got != 1 {
			t.Errorf("%d accepted after a second, want 1", got)
		}
		// All addresses of a network of 64 bits are one source.
		accepted := 0
		for i := range 40 {
			accepted += r.visits(1, fmt.Sprintf("2001:db8::%x", i+1))
		}
		if accepted != 30 {
			t.Errorf("%d of 40 from one network accepted, want 30", accepted)
		}
		if got := r.visits(1, "2001:db8:0:1::1"); got != 1 {
			t.Error("another network was held up")
		}
	})
}

// Garbage and silence count like registrations: they cost as much.
func TestServerRationsWhateverComes(t *testing.T) {
	receive(t, limited(4), accept, func(t *testing.T, r *reception) {
		for _, body := range []string{"{]", " "} {
			r.visit("192.0.2.7", body+"}")
		}
		if got := r.visits(1, "192.0.2.7"); got != 0 {
			t.Error("accepted after as much garbage as a minute may see")
		}
	})
}

func TestServerRateFollowsTheConfiguration(t *testing.T) {
	receive(t, limited(0), accept, func(t *testing.T, r *reception) {
		if got := r.visits(200, "192.0.2.7"); got != 200 {
			t.Errorf("%d of 200 accepted without a limit", got)
		}
		r.SetConfig(limited(2))
		if got := r.visits(3, "192.0.2.7"); got != 1 {
			t.Errorf("%d accepted at 2 a minute, want 1", got)
		}
		r.SetConfig(limited(2)) // a reload is no way around it
		if got := r.visits(1, "192.0.2.7"); got != 0 {
			t.Error("accepted after a reload that changed nothing")
		}
	})
}

// A place at the gate is given back by whoever is turned away for the rate.
func TestRationedClientsHoldNoPlace(t *testing.T) {
	cfg := limited(2)
	cfg.MaxConnections = 1
	receive(t, cfg, accept, func(t *testing.T, r *reception) {
		r.visits(10, "192.0.2.7")
		if got := r.visits(1, "192.0.2.8"); got != 1 {
			t.Error("nobody gets in any more")
		}
	})
}

// Of each source a few refusals are logged at once, and then one a minute, with
// the peer and the reason; all are counted.
func TestServerLogsRefusalsOncePerSource(t *testing.T) {
	refuse := func(context.Context, registration.Request, registration.Peer) error {
		return registration.Refuse(registration.Refused, "not you")
	}
	receive(t, config(), refuse, func(t *testing.T, r *reception) {
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
		r.visits(10, "192.0.2.7")
		logged("192.0.2.7", 3)
		r.visits(1, "192.0.2.8") // is not hidden by the other
		logged("192.0.2.8", 1)
		time.Sleep(59 * time.Second)
		r.visits(1, "192.0.2.7")
		logged("192.0.2.7", 3)
		time.Sleep(time.Second)
		r.visits(5, "192.0.2.7")
		logged("192.0.2.7", 4)
		if log := r.log.String(); !strings.Contains(log, "unlogged=7") || !strings.Contains(log, "unlogged=1") {
			t.Errorf("the log does not tell how many it left out:\n%s", r.log)
		}
		if got := r.counts[registration.Refused]; got != 17 {
			t.Errorf("%d counted, want 17", got)
		}
	})
}

// Many sources together cannot fill the disk.
func TestServerLogIsBounded(t *testing.T) {
	refuse := func(context.Context, registration.Request, registration.Peer) error { return fmt.Errorf("not you") }
	receive(t, config(), refuse, func(t *testing.T, r *reception) {
		for i := range 500 {
			r.visit(fmt.Sprintf("2001:db8:%x::1", i), goodBody)
		}
		if n := strings.Count(r.log.String(), "registration refused"); n != 20 {
			t.Errorf("%d lines, want 20", n)
		}
	})
}

// Whatever becomes of a registration, its token and its password are in no
// answer and in no log.
func TestServerKeepsSecrets(t *testing.T) {
	const token, password = "hunter2-token", "de:ad:be:ef:47:11"
	policy := registration.Policy{Trust: registration.Open, Token: "quite another"}
	judge := func(ctx context.Context, req registration.Request, peer registration.Peer) error {
		_, err := policy.Check(ctx, req, peer, newNetwork())
		return err
	}
	receive(t, config(), judge, func(t *testing.T, r *reception) {
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
			answer := r.visit("192.168.1.5", strings.Replace(goodBody, `"name"`, rest+`,"name"`, 1))
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
		if got := r.visit("192.168.1.5", strings.Replace(goodBody, `"name"`, `"token":"`+token+`","name"`, 1)); got != "OK." {
			t.Errorf("with the token: %q", got)
		}
		if n := strings.Count(r.log.String(), "\n"); n != 9 || strings.Contains(r.log.String(), token) {
			t.Errorf("%d lines, want 9 without the token:\n%s", n, r.log)
		}
	})
}

// One host cannot hold more places than its share, whatever addresses of its
// network it comes from.
func TestServerIsFairToNetworks(t *testing.T) {
	stay := func(ctx context.Context, _ registration.Request, _ registration.Peer) error {
		<-ctx.Done()
		return ctx.Err()
	}
	cfg := config()
	cfg.HandlerTimeout = time.Minute
	receive(t, cfg, stay, func(t *testing.T, r *reception) {
		const clients, room = 64, 16 // a quarter of 64 connections
		answers := make(chan string, clients)
		for i := range clients {
			go func() { answers <- r.call(fmt.Sprintf("2001:db8::%x", i+1), goodBody) }()
		}
		synctest.Wait()
		if got := len(answers); got != clients-room {
			t.Errorf("%d of %d turned away, want %d", got, clients, clients-room)
		}
		for range clients {
			<-answers
		}
	})
}
