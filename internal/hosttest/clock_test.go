package hosttest_test

import (
	"testing"
	"time"

	"nightporter/internal/hosttest"
)

// TestSet would fail if package time kept its readings in another way.
func TestSet(t *testing.T) {
	now := time.Now()
	for _, d := range []time.Duration{0, time.Second, -time.Hour, 50 * 365 * 24 * time.Hour, -50 * 365 * 24 * time.Hour} {
		set := hosttest.Set(now, d)
		if got := set.Round(0).Sub(now.Round(0)); got != d {
			t.Errorf("the wall moved by %v, want %v", got, d)
		}
		if got := set.Sub(now); got != 0 {
			t.Errorf("%v passed, want none", got)
		}
	}
}
