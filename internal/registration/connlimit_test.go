package registration_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"

	"nightporter/internal/registration"
)

// slowClient is a client that sends only the beginning of a request.
type slowClient struct {
	net.Conn
	answer string // set once the server has closed
	ended  bool
}

// connectSlow connects a client from an address that does not complete its request.
func (r *bubbleServer) connectSlow(from string) *slowClient {
	r.t.Helper()
	mine, theirs := net.Pipe()
	r.ln.arrivals <- pipeConn{theirs, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 4711))}
	i := &slowClient{Conn: mine}
	go func() {
		_, _ = io.WriteString(mine, goodBody[:5]) // fails if the connection is refused at once
		b, _ := io.ReadAll(mine)
		i.answer, i.ended = string(b), true
		mine.Close()
	}()
	synctest.Wait()
	return i
}

func (r *bubbleServer) connectSlowMany(n int, from string) (all []*slowClient) {
	r.t.Helper()
	for range n {
		all = append(all, r.connectSlow(from))
	}
	return all
}

// refusedCrowded counts the clients that were refused because of too many connections.
func refusedCrowded(clients []*slowClient) (n int) {
	for _, i := range clients {
		if i.ended && i.answer == crowded {
			n++
		}
	}
	return n
}

// TestFaultSlowSendersAreEvicted: a client that sends its request is admitted, however many
// clients do not complete theirs.
func TestFaultSlowSendersAreEvicted(t *testing.T) {
	for name, c := range map[string]struct {
		sources, each int
	}{
		"of four sources that hold all they may": {4, 16},
		"of one connection each":                 {64, 1},
		"of more than there is room for":         {100, 3},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, config(), accept, func(t *testing.T, r *bubbleServer) {
				for i := range c.sources {
					r.connectSlowMany(c.each, fmt.Sprintf("10.0.1.%d", i+1))
				}
				if got := r.registerMany(20, "10.0.0.1"); got != 20 {
					t.Errorf("%d of 20 registrations were accepted", got)
				}
			})
		})
	}
}

// TestFaultSlowNeighborsAreEvicted: an IPv6 network behind a router is one source. The oldest
// of its own connections is evicted for a newer one, and no other source's.
func TestFaultSlowNeighborsAreEvicted(t *testing.T) {
	inBubble(t, config(), accept, func(t *testing.T, r *bubbleServer) {
		others := r.connectSlowMany(10, "10.0.0.1")
		slow := r.connectSlowMany(16, "fd00::66")
		if got := r.register("fd00::20", goodBody); got != "OK." {
			t.Errorf("answered %q", got)
		}
		if n := refusedCrowded(slow); n != 1 || !slow[0].ended {
			t.Errorf("%d slow senders were evicted, the oldest: %v, want that one alone", n, slow[0].ended)
		}
		if n := refusedCrowded(others); n != 0 {
			t.Errorf("%d connections of another source were evicted", n)
		}
	})
}

// TestEvictionTakesFromTheLargest: a connection is evicted only for a source that holds fewer.
func TestEvictionTakesFromTheLargest(t *testing.T) {
	cfg := config()
	cfg.MaxConnections = 18 // two of them are kept for machines that are known
	inBubble(t, cfg, accept, func(t *testing.T, r *bubbleServer) {
		var slow []*slowClient
		for i := range 5 {
			slow = append(slow, r.connectSlowMany(3, fmt.Sprintf("10.0.1.%d", i+1))...)
		}
		bold := r.connectSlowMany(8, "10.0.0.66")
		// There is room for one, and it may have three.
		if n := refusedCrowded(slow); n != 2 {
			t.Errorf("%d connections of others were evicted, want 2", n)
		}
		if n := refusedCrowded(bold); n != 5 {
			t.Errorf("%d of its own were evicted, want 5", n)
		}
		if r.counts[registration.Limited] != 7 {
			t.Errorf("%d were counted as limited, want 7", r.counts[registration.Limited])
		}
	})
}
