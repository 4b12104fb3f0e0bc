package registration_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"nightporter/internal/ether"
	"nightporter/internal/registration"
)

// hostMAC is the MAC of the n-th host on the link.
func hostMAC(n byte) ether.MAC { return ether.MAC{2, 0, 0, 0, 0, n} }

// link has the networks 192.168.1.0/24 and fd77::/64 on the link. The n-th host
// there has 192.168.1.n and fd77::n:1, fd77::n:2 and so on; the 100th has all IPv4
// addresses from 100 on as well.
func link(ip netip.Addr) (ether.MAC, bool) {
	switch b := ip.AsSlice(); {
	case netip.MustParsePrefix("192.168.1.0/24").Contains(ip):
		return hostMAC(min(b[3], 100)), true
	case netip.MustParsePrefix("fd77::/64").Contains(ip):
		return hostMAC(b[13]), true
	}
	return ether.MAC{}, false
}

// known reports the fifth host as a machine that registered before.
func known(mac ether.MAC) bool { return mac == hostMAC(5) }

// unusedBody has an address that no host has, which takes the handler time.
var unusedBody = strings.Replace(goodBody, "tower", "unused", 1)

// slowHandler is a handler that refuses unusedBody after 3 s, and accepts all others at once.
func slowHandler(ctx context.Context, req registration.Request, _ registration.Peer) error {
	if req.Name != "unused" {
		return nil
	}
	timer := time.NewTimer(3 * time.Second)
	defer timer.Stop()
	select {
	case <-timer.C:
		return errors.New("no host answers")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// keptOpen is a connection whose client does not close when the server has
// answered.
type keptOpen struct{ pipeConn }

func (keptOpen) CloseWrite() error { return nil }

// underLoad runs f while n clients come with a request, each from its address and
// again and again.
func (r *bubbleServer) underLoad(n int, from func(i int) string, body string, f func()) {
	ctx, cancel := context.WithCancel(r.t.Context())
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			for ctx.Err() == nil {
				r.linger(ctx, from(i), body)
				time.Sleep(50 * time.Millisecond)
			}
		})
	}
	time.Sleep(500 * time.Millisecond)
	f()
	cancel()
	all.Wait()
}

// linger sends a request and keeps the connection until the server closes it.
func (r *bubbleServer) linger(ctx context.Context, from, body string) {
	mine, theirs := net.Pipe()
	select {
	case r.ln.arrivals <- keptOpen{pipeConn{theirs, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 4711))}}:
	case <-ctx.Done():
		return
	}
	stop := context.AfterFunc(ctx, func() { mine.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(mine, body) // fails if the connection is refused at once
	}()
	_, _ = io.Copy(io.Discard, mine)
	mine.Close()
	<-sent
}

// TestAttackOneHostTakesAllPlaces: one host holds as many connections as it can, from one
// address or from many, and is silent, sends garbage, or sends requests that take long. All
// others on its link register at the first try, also in IPv6, where they share its network.
func TestAttackOneHostTakesAllPlaces(t *testing.T) {
	t.Parallel()
	for what, body := range map[string]string{"silent": "", "half a request": goodBody[:20], "garbage": "x", "an address that no host has": unusedBody} {
		for _, addresses := range []int{1, 64} {
			for _, format := range []string{"192.168.1.%d", "fd77::64:%d"} { // 64 in hexadecimal
				t.Run(fmt.Sprintf("%s from %d of %s", what, addresses, format), func(t *testing.T) {
					cfg := config()
					cfg.Turns = 1
					inBubble(t, cfg, slowHandler, func(_ *testing.T, r *bubbleServer) {
						r.underLoad(64, func(i int) string { return fmt.Sprintf(format, 100+i%addresses) }, body, func() {
							r.wantAllAccepted("192.168.1.6", "192.168.1.5", "fd77::6:1", "fd77::5:1", "192.0.2.9", "2001:db8::9")
						})
					})
				})
			}
		}
	}
}

// wantAllAccepted fails unless 20 registrations from each address are accepted at the first try.
func (r *bubbleServer) wantAllAccepted(from ...string) {
	r.t.Helper()
	for _, addr := range from {
		accepted := 0
		for range 20 {
			if r.call(addr, goodBody) == "OK." {
				accepted++
			}
			time.Sleep(37 * time.Millisecond)
		}
		if accepted != 20 {
			r.t.Errorf("%d of 20 registrations from %s were accepted", accepted, addr)
		}
	}
}

// TestAttackManyHosts: many hosts on the link send requests that take long. Known machines
// still register, and new ones as long as the hosts are fewer than the places for new ones.
func TestAttackManyHosts(t *testing.T) {
	t.Parallel()
	for hosts, strangers := range map[int]bool{8: true, 55: true, 100: false} {
		t.Run(fmt.Sprintf("%d hosts", hosts), func(t *testing.T) {
			cfg := config()
			cfg.Turns = 1
			inBubble(t, cfg, slowHandler, func(_ *testing.T, r *bubbleServer) {
				r.underLoad(4*hosts, func(i int) string { return fmt.Sprintf("fd77::%x:1", 20+i%hosts) }, unusedBody, func() {
					r.wantAllAccepted("192.168.1.5", "fd77::5:1")
					if strangers {
						r.wantAllAccepted("192.168.1.6", "fd77::6:1", "192.0.2.9")
					}
				})
			})
		})
	}
}

// TestAttackAnswersAreNotRead: clients that have their answer and do not close are not counted
// as open connections, and take no turn.
func TestAttackAnswersAreNotRead(t *testing.T) {
	cfg := config()
	cfg.MaxConnections, cfg.Turns = 1, 1
	inBubble(t, cfg, accept, func(t *testing.T, r *bubbleServer) {
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() { r.linger(ctx, "192.168.1.100", goodBody) })
			synctest.Wait()
			for _, from := range []string{"192.168.1.6", "192.168.1.100"} {
				if a := r.call(from, goodBody); a != "OK." {
					t.Errorf("%s: answered %q", from, a)
				}
			}
		}
		cancel()
		all.Wait()
	})
}

// TestAttackRefusalsAreNotRead: clients that are refused and do not close leave room for
// others to read their refusals, and are closed after a short time.
func TestAttackRefusalsAreNotRead(t *testing.T) {
	cfg := limited(2)
	inBubble(t, cfg, accept, func(t *testing.T, r *bubbleServer) {
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { r.linger(ctx, "192.168.1.100", goodBody) })
		}
		synctest.Wait()
		began := time.Now()
		all.Go(func() { r.linger(ctx, "192.168.1.6", "x") })
		time.Sleep(10 * time.Millisecond)
		if n := r.Lingering(); n != 9 {
			t.Errorf("%d connections are lingered for, want 8 of the attacker and another one", n)
		}
		all.Wait()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("they stay for %v", took)
		}
		cancel()
	})
}

// TestOneSourceTakesTurns: the handler decides at most Turns requests of one source at a time,
// in the order in which they came.
func TestOneSourceTakesTurns(t *testing.T) {
	var now, most atomic.Int32
	decide := func(context.Context, registration.Request, registration.Peer) error {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		time.Sleep(time.Second)
		return nil
	}
	for turns, took := range map[int]time.Duration{1: 8 * time.Second, 3: 3 * time.Second, 0: time.Second} {
		t.Run(fmt.Sprint(turns), func(t *testing.T) {
			most.Store(0)
			cfg := config()
			cfg.Turns = turns
			inBubble(t, cfg, decide, func(t *testing.T, r *bubbleServer) {
				began := time.Now()
				answers := make(chan string, 8)
				for i := range 8 {
					go func() { answers <- r.call(fmt.Sprintf("192.168.1.%d", 100+i), goodBody) }()
				}
				for range 8 {
					if a := <-answers; a != "OK." {
						t.Errorf("answered %q", a)
					}
				}
				if got := time.Since(began); got != took {
					t.Errorf("took %v, want %v", got, took)
				}
				if want := int32(turns); turns > 0 && most.Load() != want {
					t.Errorf("%d were decided at a time, want %d", most.Load(), want)
				}
			})
		})
	}
}

// TestTurnsHaveAnEnd: a request does not wait for its turn for longer than one may
// take to be decided.
func TestTurnsHaveAnEnd(t *testing.T) {
	stay := func(ctx context.Context, _ registration.Request, _ registration.Peer) error {
		<-ctx.Done()
		return ctx.Err()
	}
	cfg := config()
	cfg.Turns, cfg.HandlerTimeout = 1, 10*time.Second
	inBubble(t, cfg, stay, func(t *testing.T, r *bubbleServer) {
		began := time.Now()
		answers := make(chan string, 4)
		for range 4 {
			go func() { answers <- r.call("192.168.1.6", goodBody) }()
		}
		for range 4 {
			if a := <-answers; a != "checking the registration took too long, try again\n" {
				t.Errorf("answered %q", a)
			}
		}
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("took %v, want 10s", took)
		}
		synctest.Wait()
	})
}

// TestAttackLogs: a host that registers or is refused again and again takes few lines of the
// log.
func TestAttackLogs(t *testing.T) {
	inBubble(t, config(), slowHandler, func(_ *testing.T, r *bubbleServer) {
		for i := range 60 {
			r.registerMany(20, "192.168.1.6")
			r.register(fmt.Sprintf("192.168.1.%d", 100+i), "x")
			r.register(fmt.Sprintf("fd77::64:%d", i), "x")
			r.register(fmt.Sprintf("2001:db8:%d::1", i), "x")
			time.Sleep(time.Second)
		}
		if n := strings.Count(r.log.String(), "\n"); n > 40 {
			t.Errorf("%d lines in a minute, want at most 40", n)
		}
	})
}
