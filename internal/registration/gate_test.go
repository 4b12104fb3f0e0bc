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

// idler is a client that comes and sends only the beginning of a request.
type idler struct {
	net.Conn
	answer string // set once the server has closed
	ended  bool
}

// idle has a client come from an address and not get on.
func (r *reception) idle(from string) *idler {
	r.t.Helper()
	mine, theirs := net.Pipe()
	r.porch.arrivals <- visitor{theirs, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 4711))}
	i := &idler{Conn: mine}
	go func() {
		_, _ = io.WriteString(mine, goodBody[:5]) // fails where it is turned away at once
		b, _ := io.ReadAll(mine)
		i.answer, i.ended = string(b), true
		mine.Close()
	}()
	synctest.Wait()
	return i
}

func (r *reception) idleMany(n int, from string) (all []*idler) {
	r.t.Helper()
	for range n {
		all = append(all, r.idle(from))
	}
	return all
}

// turnedAway counts who was told that there are too many.
func turnedAway(idlers []*idler) (n int) {
	for _, i := range idlers {
		if i.ended && i.answer == crowded {
			n++
		}
	}
	return n
}

// TestFaultSlowSendersGiveWay: however many clients do not get on with their
// request, and from wherever, one that sends its own gets in.
func TestFaultSlowSendersGiveWay(t *testing.T) {
	for name, c := range map[string]struct {
		sources, each int
	}{
		"of four sources that hold all they may": {4, 16},
		"of one connection each":                 {64, 1},
		"of more than there is room for":         {100, 3},
	} {
		t.Run(name, func(t *testing.T) {
			receive(t, config(), accept, func(t *testing.T, r *reception) {
				for i := range c.sources {
					r.idleMany(c.each, fmt.Sprintf("10.0.1.%d", i+1))
				}
				if got := r.visits(20, "10.0.0.1"); got != 20 {
					t.Errorf("%d of 20 registrations got in", got)
				}
			})
		})
	}
}

// TestFaultSlowNeighborsGiveWay: an IPv6 network behind a router is one source. The oldest
// of its own connections gives way to a newer one, and nobody else's.
func TestFaultSlowNeighborsGiveWay(t *testing.T) {
	receive(t, config(), accept, func(t *testing.T, r *reception) {
		others := r.idleMany(10, "10.0.0.1")
		slow := r.idleMany(16, "fd00::66")
		if got := r.visit("fd00::20", goodBody); got != "OK." {
			t.Errorf("answered %q", got)
		}
		if n := turnedAway(slow); n != 1 || !slow[0].ended {
			t.Errorf("%d slow senders gave way, the oldest: %v, want that one alone", n, slow[0].ended)
		}
		if n := turnedAway(others); n != 0 {
			t.Errorf("%d connections of another source gave way", n)
		}
	})
}

// TestNobodyPushesOthersOut: a source has to have fewer connections than the one
// that gives way.
func TestNobodyPushesOthersOut(t *testing.T) {
	cfg := config()
	cfg.MaxConnections = 18 // two of them are kept for machines that are known
	receive(t, cfg, accept, func(t *testing.T, r *reception) {
		var slow []*idler
		for i := range 5 {
			slow = append(slow, r.idleMany(3, fmt.Sprintf("10.0.1.%d", i+1))...)
		}
		bold := r.idleMany(8, "10.0.0.66")
		// There is room for one, and it may have three.
		if n := turnedAway(slow); n != 2 {
			t.Errorf("%d connections of others gave way, want 2", n)
		}
		if n := turnedAway(bold); n != 5 {
			t.Errorf("%d of its own gave way, want 5", n)
		}
		if r.counts[registration.Limited] != 7 {
			t.Errorf("%d were counted as limited, want 7", r.counts[registration.Limited])
		}
	})
}
