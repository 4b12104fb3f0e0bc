package wait

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// The time passes, unless the context ends before.
func TestFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			wait, ends, took time.Duration
			passed           bool
		}{
			{wait: time.Second, ends: time.Minute, took: time.Second, passed: true},
			{wait: time.Minute, ends: time.Second, took: time.Second},
			{wait: 0, ends: time.Second, passed: true},
			{wait: -time.Second, ends: time.Second, passed: true},
			{wait: 0, ends: 0},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), c.ends)
			began := time.Now()
			passed := Until(ctx, began.Add(c.wait))
			if took := time.Since(began); passed != c.passed || took != c.took {
				t.Errorf("%+v: passed %v after %v", c, passed, took)
			}
			cancel()
		}
	})
}
