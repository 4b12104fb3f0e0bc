// Package waittest waits in tests, with a deadline.
package waittest

import (
	"context"
	"testing"
	"time"
)

// Patience is how long a test waits for what takes milliseconds on an idle computer.
const Patience = 20 * time.Second

// Until waits until the condition holds. The test ends if it does not within Patience;
// what names the condition in the message.
func Until(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	UntilWithin(tb, Patience, what, condition)
}

// UntilWithin is Until with a limit.
func UntilWithin(tb testing.TB, limit time.Duration, what string, condition func() bool) {
	tb.Helper()
	const pause = 2 * time.Millisecond
	for deadline := time.Now().Add(limit); !condition(); time.Sleep(pause) {
		if !time.Now().Before(deadline) {
			tb.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// Context returns the context of the test with a deadline, for one call.
func Context(tb testing.TB, limit time.Duration) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), limit)
	tb.Cleanup(cancel)
	return ctx
}
