package timerqueue_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"nightporter/internal/timerqueue"
)

// TestQueueAgainstMap compares the queue with a plain map searched linearly.
func TestQueueAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q timerqueue.Queue[int]
		model := map[int]time.Time{}
		keys := rapid.IntRange(0, 9)
		times := rapid.Custom(func(t *rapid.T) time.Time {
			return time.Unix(1000+rapid.Int64Range(0, 20).Draw(t, "seconds"), 0)
		})
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				k, at := keys.Draw(t, "key"), times.Draw(t, "at")
				q.Set(k, at)
				model[k] = at
			},
			"remove": func(t *rapid.T) {
				k := keys.Draw(t, "key")
				q.Remove(k)
				delete(model, k)
			},
			"set to zero": func(t *rapid.T) { // removes
				k := keys.Draw(t, "key")
				q.Set(k, time.Time{})
				delete(model, k)
			},
			"pop": func(t *rapid.T) {
				now, earliest := times.Draw(t, "now"), first(model)
				got, ok := q.Pop(now)
				if want := !earliest.IsZero() && !earliest.After(now); ok != want {
					t.Fatalf("Pop says %v, want %v", ok, want)
				}
				if ok && !model[got].Equal(earliest) {
					t.Fatalf("Pop gave %d at %v before %v", got, model[got], earliest)
				}
				if ok {
					delete(model, got)
				}
			},
			"": func(t *rapid.T) {
				if got, want := q.Next(), first(model); !got.Equal(want) {
					t.Fatalf("Next is %v, want %v", got, want)
				}
			},
		})
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
