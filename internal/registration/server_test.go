package registration_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"nightporter/internal/registration"
)

func TestServerAccepts(t *testing.T) {
	got := make(chan registration.Request, 1)
	peers := make(chan netip.AddrPort, 1)
	d := newTestServer(t, "127.0.0.1:0", config(), func(_ context.Context, r registration.Request, peer registration.Peer) error {
		got <- r
		peers <- peer.Addr
		return nil
	})
	conn := d.dial(t)
	write(t, conn, strings.Replace(goodBody, "{", `{"colour":"red",`, 1))
	if a := read(t, conn); a != "OK." {
		t.Fatalf("answered %q", a)
	}
	if r := <-got; r.Name != "tower" || len(r.Monitor) != 1 {
		t.Errorf("handler got %+v", r)
	}
	if p := <-peers; p.String() != conn.LocalAddr().String() {
		t.Errorf("peer %v, want %v", p, conn.LocalAddr())
	}
	if d.count(registration.Accepted) != 1 {
		t.Errorf("counted %v", d.outcomes)
	}
	if l := d.logged(); !strings.Contains(l, "machine=tower") || !strings.Contains(l, "colour: unknown key") {
		t.Errorf("logged %s", l)
	}
}

func TestServerDoesNotWaitForTheEnd(t *testing.T) {
	t.Parallel()
	d := newTestServer(t, "127.0.0.1:0", config(), accept)
	conn := d.dial(t)
	half := len(goodBody) / 2
	write(t, conn, goodBody[:half])
	time.Sleep(time.Second) // the pause is what is tested: nothing is waited for
	write(t, conn, goodBody[half:])
	b := make([]byte, 1024)
	n, err := conn.Read(b) // as the older clients do: one read, no half-close
	if err != nil || string(b[:n]) != "OK." {
		t.Errorf("answered %q, %v", b[:n], err)
	}
}

func TestServerRefusals(t *testing.T) {
	handler := func(_ context.Context, r registration.Request, _ registration.Peer) error {
		switch r.Name {
		case "full":
			return registration.Refuse(registration.Limited, "max_machines: %d are registered", 1024)
		case "wrapped":
			return errors.Join(errors.New("first"), registration.Refuse(registration.Invalid, "second"))
		case "odd":
			return errors.New("OK.\x1b[31m\nfine")
		case "silent":
			return errors.New("")
		case "slow":
			return context.DeadlineExceeded
		case "long":
			return errors.New(strings.Repeat("ü", 1000))
		}
		return errors.New("netlink: no such device")
	}
	named := func(name string) string { return strings.Replace(goodBody, "tower", name, 1) }
	tests := []struct {
		name, body, answer string
		outcome            registration.Outcome
	}{
		{"broken", `{"mac"]`, "not valid JSON: invalid character ']' after object key\n", registration.Invalid},
		{"at once, though it says more", "GET", `expected one JSON object such as {"mac": "d8:cb:8a:39:be:a1", "monitor": [...]}` + "\n", registration.Invalid},
		{"another error", goodBody, "netlink: no such device\n", registration.Refused},
		{"a refusal with an outcome", named("full"), "max_machines: 1024 are registered\n", registration.Limited},
		{"a wrapped refusal", named("wrapped"), "first second\n", registration.Invalid},
		{"never mistaken for an OK", named("odd"), "refused: OK. [31m fine\n", registration.Refused},
		{"never empty", named("silent"), "refused: \n", registration.Refused},
		{"out of time", named("slow"), "checking the registration took too long, try again\n", registration.Limited},
		{"long", named("long"), strings.Repeat("ü", 198) + "...\n", registration.Refused},
		{"oversized", `{"name":"` + strings.Repeat("x", registration.MaxBody), "the request is larger than 65536 bytes\n", registration.Limited},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newTestServer(t, "127.0.0.1:0", config(), handler)
			if a := d.ask(t, tt.body); a != tt.answer {
				t.Errorf("answered %q\nwant     %q", a, tt.answer)
			}
			if d.count(tt.outcome) != 1 {
				t.Errorf("counted %v, want one %v", d.outcomes, tt.outcome)
			}
		})
	}
}

func TestServerCutsOffTheSlow(t *testing.T) {
	t.Parallel()
	const answer = "no complete request within 300ms, try again\n"
	cfg := config()
	cfg.Timeout = 300 * time.Millisecond
	for _, tt := range []struct {
		name string
		send func(t *testing.T, conn net.Conn, done <-chan struct{})
	}{
		{"silent", func(*testing.T, net.Conn, <-chan struct{}) {}},
		{"byte by byte", func(_ *testing.T, conn net.Conn, done <-chan struct{}) {
			tick := time.NewTicker(20 * time.Millisecond) // each byte well within the timeout
			defer tick.Stop()
			for _, b := range []byte(goodBody) {
				select {
				case <-done:
					return
				case <-tick.C:
				}
				if _, err := conn.Write([]byte{b}); err != nil {
					return
				}
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newTestServer(t, "127.0.0.1:0", cfg, accept)
			begun := time.Now()
			conn := d.dial(t)
			done := make(chan struct{})
			var sender sync.WaitGroup
			sender.Go(func() { tt.send(t, conn, done) })
			a := read(t, conn)
			close(done)
			sender.Wait()
			if a != answer {
				t.Errorf("answered %q, want %q", a, answer)
			}
			if took := time.Since(begun); took < cfg.Timeout || took > cfg.Timeout+5*time.Second {
				t.Errorf("cut off after %v", took)
			}
			if d.count(registration.Limited) != 1 {
				t.Errorf("counted %v", d.outcomes)
			}
		})
	}
}

func TestServerAnswerSurvivesExtraInput(t *testing.T) {
	d := newTestServer(t, "127.0.0.1:0", config(), accept)
	for _, tt := range []struct{ name, extra, answer string }{
		{"white space", strings.Repeat(" \n", 100<<10), "OK."},
		{"garbage", strings.Repeat("x", 200<<10), "found more text after the JSON object: expected nothing\n"},
	} {
		for range 5 {
			conn := d.dial(t)
			var sender sync.WaitGroup
			sender.Go(func() { _, _ = io.WriteString(conn, goodBody+tt.extra) })
			if a := read(t, conn); a != tt.answer {
				t.Errorf("%s: answered %q, want %q", tt.name, a, tt.answer)
			}
			sender.Wait()
			conn.Close() // until then it counts as open
		}
	}
}

func TestServerIgnoresEmptyConnections(t *testing.T) {
	d := newTestServer(t, "127.0.0.1:0", config(), accept)
	d.dial(t).Close()
	d.waitCount(t, registration.Invalid, 1)
	d.stop()
	if l := d.logged(); l != "" {
		t.Errorf("logged %s", l)
	}
}

func TestServerShowsIPv4PeersAsIPv4(t *testing.T) {
	peers := make(chan netip.AddrPort, 1)
	d := newTestServer(t, "[::]:0", config(), func(_ context.Context, _ registration.Request, peer registration.Peer) error {
		peers <- peer.Addr
		return nil
	})
	_, port, err := net.SplitHostPort(d.addr)
	if err != nil {
		t.Fatal(err)
	}
	conn := dialFrom(t, net.JoinHostPort("127.0.0.1", port), "")
	write(t, conn, goodBody)
	if a := read(t, conn); a != "OK." {
		t.Fatalf("answered %q", a)
	}
	if p := <-peers; p.Addr() != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("peer %v", p)
	}
}
