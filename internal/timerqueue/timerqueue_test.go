package timerqueue_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"nightporter/internal/timerqueue"
)

// TestQueueAgainstMap compares the queue with a plain map searched linearly.
func TestQueueAgainstMap(t *testing.T) {
	epoch := time.Unix(1000, 0)
	rapid.Check(t, func(t *rapid.T) {
		var q timerqueue.Queue[int]
		model := map[int]time.Time{}
		for range rapid.IntRange(0, 100).Draw(t, "steps") {
			k := rapid.IntRange(0, 9).Draw(t, "key")
			at := epoch.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "at")) * time.Second)
			switch rapid.IntRange(0, 3).Draw(t, "op") {
			case 0:
				q.Remove(k)
				delete(model, k)
			case 1:
				q.Set(k, time.Time{})
				delete(model, k)
			case 2:
				q.Set(k, at)
				model[k] = at
			case 3:
				got, ok := q.Pop(at)
				earliest := first(model)
				if want := !earliest.IsZero() && !earliest.After(at); ok != want {
					t.Fatalf("Pop says %v, want %v", ok, want)
				}
				if ok {
					if !model[got].Equal(earliest) {
						t.Fatalf("Pop gave %d at %v before %v", got, model[got], earliest)
					}
					delete(model, got)
				}
			}
			if got, want := q.Next(), first(model); !got.Equal(want) {
				t.Fatalf("Next is %v, want %v", got, want)
			}
		}
	})
}

func first(m map[int]time.Time) time.Time {
	var earliest time.Time
	for _, at := range m {
		if earliest.IsZero() || at.Before(earliest) {
			earliest = at
		}
	}
	return earliest
}
