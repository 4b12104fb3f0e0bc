package waittest

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// recorder is a test whose failure is expected.
type recorder struct {
	testing.TB
	message string
}

type failed struct{}

func (r *recorder) Fatalf(format string, args ...any) {
	r.message = fmt.Sprintf(format, args...)
	panic(failed{})
}

// The condition is checked until it holds.
func TestUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		Until(t, "a second", func() bool { return time.Since(began) >= time.Second })
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("returned after %v", took)
		}
	})
}

// A condition that never holds ends the test, with its name.
func TestUntilFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{TB: t}
		defer func() {
			if p := recover(); p != (failed{}) || r.message != "not within 1m0s: never" {
				t.Errorf("%v with %q", p, r.message)
			}
		}()
		UntilWithin(r, time.Minute, "never", func() bool { return false })
	})
}
