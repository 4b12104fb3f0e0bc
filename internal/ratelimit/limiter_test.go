package ratelimit_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"nightporter/internal/ratelimit"
)

func source(s string) ratelimit.Source { return ratelimit.SourceOf(netip.MustParseAddr(s)) }

func TestPerMinute(t *testing.T) {
	for n, want := range map[int]struct {
		every time.Duration
		burst int
	}{1: {time.Minute, 1}, 2: {30 * time.Second, 1}, 3: {20 * time.Second, 2}, 60: {time.Second, 30}, 6000: {10 * time.Millisecond, 3000}} {
		limit, burst := ratelimit.PerMinute(n)
		if limit != rate.Every(want.every) || burst != want.burst {
			t.Errorf("%d a minute: %v a second, %d at once; want one every %v, %d", n, limit, burst, want.every, want.burst)
		}
	}
	if limit, _ := ratelimit.PerMinute(0); limit != rate.Inf {
		t.Errorf("0 a minute: %v a second", limit)
	}
}

// took returns how many of n events are allowed to source at this moment.
func took(l *ratelimit.Limiter, s ratelimit.Source, n int) (got int) {
	for range n {
		if l.Take(s) == 0 {
			got++
		}
	}
	return got
}

func TestLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.PerMinute(60))
		mine, other := source("192.0.2.7"), source("192.0.2.8")
		if got := took(l, mine, 100); got != 30 {
			t.Errorf("%d at once, want 30", got)
		}
		if wait := l.Take(mine); wait != time.Second {
			t.Errorf("to wait %v, want 1s", wait)
		}
		time.Sleep(999 * time.Millisecond)
		if wait := l.Take(mine); wait <= 0 || wait > 2*time.Millisecond {
			t.Errorf("a little too early: to wait %v, want 1ms", wait)
		}
		if got := took(l, other, 100); got != 30 {
			t.Errorf("another source: %d at once, want 30", got)
		}
		time.Sleep(time.Millisecond)
		if got := took(l, mine, 100); got != 1 {
			t.Errorf("after a second: %d, want 1", got)
		}
		time.Sleep(time.Hour)
		if got := took(l, mine, 100); got != 30 {
			t.Errorf("after an hour: %d, want 30", got)
		}
	})
}

// A refused event does not lengthen the wait.
func TestRefusalsCostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.PerMinute(1))
		s := source("2001:db8::7")
		l.Take(s)
		for range 59 {
			time.Sleep(time.Second)
			if l.Take(source("2001:db8::8")) == 0 { // the same network
				t.Fatal("granted within the minute")
			}
		}
		time.Sleep(time.Second)
		if wait := l.Take(s); wait != 0 {
			t.Errorf("after a minute: to wait %v", wait)
		}
	})
}

func TestSetLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.PerMinute(0))
		s := source("192.0.2.7")
		if got := took(l, s, 1000); got != 1000 {
			t.Errorf("without a limit %d of 1000", got)
		}
		l.SetLimit(ratelimit.PerMinute(10))
		if got := took(l, s, 100); got != 5 {
			t.Errorf("limited to 10: %d at once, want 5", got)
		}
		l.SetLimit(ratelimit.PerMinute(10)) // a reload that changes nothing
		if got := took(l, s, 100); got != 0 {
			t.Errorf("the same limit again gave %d more", got)
		}
		l.SetLimit(ratelimit.PerMinute(20))
		if got := took(l, s, 100); got != 10 {
			t.Errorf("limited to 20: %d at once, want 10", got)
		}
		l.SetLimit(ratelimit.PerMinute(0))
		if got := took(l, s, 100); got != 100 {
			t.Errorf("without a limit again %d of 100", got)
		}
		var zero ratelimit.Limiter
		if got := took(&zero, s, 100); got != 100 {
			t.Errorf("the zero Limiter: %d of 100", got)
		}
	})
}

// network is the n-th IPv6 network of 64 bits below a /40.
func network(n int) ratelimit.Source {
	return source(fmt.Sprintf("2001:db8:%x:%x::1", n>>16, n&0xffff))
}

func TestTheQuietestGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const room = 2048
		l := ratelimit.New(ratelimit.PerMinute(1))
		for i := range room {
			if l.Take(network(i)) != 0 {
				t.Fatalf("source %d was not granted its first", i)
			}
		}
		if l.Take(network(0)) == 0 || l.Take(network(1)) == 0 { // known, and now the latest used
			t.Fatal("a source was forgotten while there was room")
		}
		l.Take(network(room)) // the third is removed
		for _, i := range []int{0, 1, 3, room - 1, room} {
			if l.Take(network(i)) == 0 {
				t.Errorf("source %d was forgotten", i)
			}
		}
		if l.Take(network(2)) != 0 {
			t.Error("the source that was quiet for the longest was not forgotten")
		}
	})
}

// A host with a /47 sends from each of its networks: the memory stays within the bound of
// maxSources.
func TestMemoryIsBounded(t *testing.T) {
	const networks, most = 1 << 17, 1 << 20
	l := ratelimit.New(ratelimit.PerMinute(60))
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	base := [16]byte{0x20, 0x01, 0x0d, 0xb8}
	before := heap()
	for i := range networks {
		base[5], base[6], base[7] = byte(i>>16), byte(i>>8), byte(i)
		l.Take(ratelimit.SourceOf(netip.AddrFrom16(base)))
	}
	after := heap()
	if after > before && after-before > most {
		t.Errorf("%d bytes for %d sources, want at most %d", after-before, networks, most)
	}
	t.Logf("%d bytes", int64(after)-int64(before))
	runtime.KeepAlive(l)
}

// Several goroutines never take more than the limit.
func TestTakeTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.PerMinute(200))
		var granted atomic.Int32
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for range 100 {
					if l.Take(source("192.0.2.7")) == 0 {
						granted.Add(1)
					}
					l.Take(network(i))
				}
				l.SetLimit(ratelimit.PerMinute(200))
			})
		}
		all.Wait()
		if got := granted.Load(); got != 100 {
			t.Errorf("%d granted, want 100", got)
		}
	})
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]int{1: 1, 999 * time.Millisecond: 1, time.Second: 1, time.Second + 1: 2, time.Minute: 60} {
		if got := ratelimit.Seconds(d); got != want {
			t.Errorf("%v: %d, want %d", d, got, want)
		}
	}
}
