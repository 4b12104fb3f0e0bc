// Package wait pauses a goroutine until a time has passed or its context has ended.
package wait

import (
	"context"
	"time"
)

// For waits for d. It reports false if ctx ended before.
func For(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Until waits until a moment. It reports false if ctx ended before.
func Until(ctx context.Context, moment time.Time) bool { return For(ctx, time.Until(moment)) }
