package journal

import (
	"bytes"
	"testing"
	"time"

	"nightporter/internal/ether"

	"pgregory.net/rapid"

	"nightporter/internal/machine"
)

// TestQueue: whatever happens to the writes, the file ends up with what is known,
// in as few lines as possible.
func TestQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newState(&content{})
		file := headerLine()
		truth := map[ether.MAC]machine.Memory{}
		var number, seq uint64
		var flying *batch
		finish := func(ok bool) {
			switch {
			case flying == nil:
				return
			case !ok:
				s.lost(flying)
			default:
				before := file
				if flying.whole {
					before = headerLine()
				}
				var err error
				if file, err = encode(flying, hostClock()(), bytes.Clone(before)); err != nil {
					t.Fatal(err)
				}
				s.stored(flying)
			}
			flying = nil
		}
		add := func(r Record) {
			if rapid.Bool().Draw(t, "event") {
				seq++
				r.Event = Event{Kind: Magic, Seq: seq}
			}
			s.add(&r, time.Now())
		}
		t.Repeat(map[string]func(*rapid.T){
			"remember": func(*rapid.T) {
				m := memoryOf(rapid.IntRange(0, 3).Draw(t, "machine"))
				number++
				m.Tally.Attempts = number
				truth[m.Spec.MAC] = *m
				add(Record{Memory: m})
			},
			"forget": func(*rapid.T) {
				mac := macOf(rapid.IntRange(0, 3).Draw(t, "machine"))
				delete(truth, mac)
				add(Record{Forgotten: mac})
			},
			"overflow": func(*rapid.T) { s.rewriteAll(); s.changes++ },
			"write": func(*rapid.T) {
				if flying == nil {
					flying = s.pending()
				}
			},
			"write all": func(*rapid.T) {
				if flying == nil {
					flying = s.everything()
				}
			},
			"stored": func(*rapid.T) { finish(true) },
			"lost":   func(*rapid.T) { finish(false) },
			"": func(t *rapid.T) {
				if len(s.queue) > 0 && s.whole {
					t.Fatal("a queue that was given up is in use")
				}
			},
		})
		finish(rapid.Bool().Draw(t, "stored"))
		flying = s.pending()
		seen := map[ether.MAC]bool{}
		for _, l := range flying.lines {
			if l.carries == newestMemory && seen[l.memory.Spec.MAC] {
				t.Fatal("the same memory is written twice")
			}
			seen[l.memory.Spec.MAC] = l.carries == newestMemory
		}
		finish(true)
		c := read(bytes.NewReader(file))
		if c.fault != nil || len(c.machines) != len(truth) || c.events.last() != seq || s.written != s.changes {
			t.Fatalf("fault %v; %d machines, want %d; last event %d, want %d", c.fault, len(c.machines), len(truth), c.events.last(), seq)
		}
		for mac, want := range truth {
			if got := c.machines[mac].Tally.Attempts; got != want.Tally.Attempts {
				t.Fatalf("%v is at %d, want %d", mac, got, want.Tally.Attempts)
			}
		}
	})
}

// TestGivenUp: what is added while all is to be written anew does not disturb
// what is queued after it.
func TestGivenUp(t *testing.T) {
	s := newState(&content{})
	s.rewriteAll()
	s.add(&Record{Memory: memoryOf(1)}, night)
	s.stored(s.pending())
	s.add(&Record{Memory: memoryOf(2)}, night)
	s.add(&Record{Memory: memoryOf(1)}, night)
	if b := s.pending(); b.whole || len(b.lines) != 2 {
		t.Errorf("%d lines, everything: %v; want the memories of both machines", len(b.lines), b.whole)
	}
}
