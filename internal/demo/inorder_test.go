package demo

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestInOrder: lines are printed in the order of their times.
func TestInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		tl := newTimeline(&out, false)
		end := tl.run()
		time.Sleep(1400 * time.Millisecond)
		tl.say("porter", "first frame")
		time.Sleep(50 * time.Millisecond)
		tl.sayAt(tl.start.Add(1200*time.Millisecond), "nas", "powers on")
		tl.sayAt(tl.start.Add(1400*time.Millisecond), "nas", "at the same time")
		time.Sleep(orderDelay)
		synctest.Wait()
		const first = "   1.200s  nas     powers on\n   1.400s  porter  first frame\n   1.400s  nas     at the same time\n"
		if got := out.String(); got != first {
			t.Errorf("%q, want %q", got, first)
		}
		tl.title("The end")
		if out.String() != first {
			t.Error("a title does not wait for what happened before it")
		}
		tl.sayAt(tl.start.Add(1500*time.Millisecond), "nas", "is up")
		end()
		if got, want := out.String(), first+"   1.500s  nas     is up\n\nThe end\n"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}
