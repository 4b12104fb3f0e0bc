package claim_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter/internal/claim"
	"nightporter/internal/ether"
)

func sorted(s []string) []string { s = slices.Clone(s); slices.Sort(s); return s }

// run drives an announcer for a while and notes what it sends and when.
type run struct {
	claim.Announcer
	now, start time.Time
	sent       []string
}

func newRun() *run {
	start := time.Unix(1000, 0)
	r := &run{now: start, start: start}
	r.Send = func(ip netip.Addr, owner ether.MAC) {
		r.sent = append(r.sent, fmt.Sprintf("%v %v at %v", r.now.Sub(r.start), ip, owner[5]))
	}
	return r
}

func (r *run) until(d time.Duration) {
	for end := r.start.Add(d); ; {
		next := r.Next()
		if next.IsZero() || next.After(end) {
			r.now = end
			return
		}
		r.now = next
		r.Run(r.now)
	}
}

func TestAnnouncementsAreRepeated(t *testing.T) {
	r := newRun()
	r.Announce(r.now, ip4, us)
	r.until(time.Minute)
	want := []string{"0s 10.77.0.20 at 2", "1s 10.77.0.20 at 2", "3s 10.77.0.20 at 2", "7s 10.77.0.20 at 2"}
	if d := cmp.Diff(want, r.sent); d != "" {
		t.Error(d)
	}
	if !r.Next().IsZero() {
		t.Error("something is still due")
	}
}

func TestANewOwnerReplacesTheOldOne(t *testing.T) {
	r := newRun()
	r.Announce(r.now, ip4, us)
	r.Announce(r.now, ip6, us)
	r.until(2 * time.Second)
	r.Announce(r.now, ip4, sleeper)
	r.Cancel(ip6)
	r.until(time.Minute)
	want := []string{
		"0s 10.77.0.20 at 2", "0s fd77::20 at 2", "1s 10.77.0.20 at 2", "1s fd77::20 at 2",
		"2s 10.77.0.20 at 32", "3s 10.77.0.20 at 32", "5s 10.77.0.20 at 32", "9s 10.77.0.20 at 32",
	}
	if d := cmp.Diff(sorted(want), sorted(r.sent)); d != "" {
		t.Error(d)
	}
}

func TestAnnounceFrom(t *testing.T) {
	start := time.Date(2026, 11, 22, 22, 0, 0, 0, time.UTC)
	var told []time.Duration
	now := start
	a := claim.Announcer{Send: func(netip.Addr, ether.MAC) { told = append(told, now.Sub(start)) }}
	a.Announce(now, netip.MustParseAddr("10.77.0.20"), ether.MAC{2})
	told = nil
	a.AnnounceFrom(start.Add(3*time.Second), netip.MustParseAddr("10.77.0.20"), ether.MAC{2}) // instead
	for range 20 {
		now = a.Next()
		if now.IsZero() {
			break
		}
		a.Run(now)
	}
	want := []time.Duration{3 * time.Second, 4 * time.Second, 6 * time.Second, 10 * time.Second}
	if !slices.Equal(told, want) {
		t.Errorf("told after %v, want %v", told, want)
	}
}
