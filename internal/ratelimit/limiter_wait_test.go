package ratelimit_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"nightporter/internal/ratelimit"
)

func TestWaitTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(rate.Every(time.Minute), 2)
		source := ratelimit.SourceOf(netip.MustParseAddr("192.0.2.1"))
		for i, want := range []time.Duration{0, 0, time.Minute} {
			for range 3 {
				if got := l.Wait(source); got != want {
					t.Errorf("after %d events: wait %v, want %v", i, got, want)
				}
			}
			if got := l.Take(source); got != want {
				t.Errorf("event %d: wait %v, want %v", i, got, want)
			}
		}
		if got := new(ratelimit.Limiter).Wait(source); got != 0 {
			t.Errorf("without a limit: wait %v", got)
		}
	})
}
