package journal

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"nightporter/internal/machine"
)

// readAll reads a file that is sound.
func readAll(t fataler, file []byte) *content {
	c := read(bytes.NewReader(file))
	if c.fault != nil || c.torn > 0 {
		t.Fatalf("fault %v, %d bytes torn", c.fault, c.torn)
	}
	return c
}

// simulated is a porter and its file, on a clock of its own.
type simulated struct {
	state
	file    []byte
	up      time.Duration // since the host has started
	wrote   time.Duration // the same, of the last record
	set     time.Duration // by how much the clock on the wall was set
	machine machine.Memory
}

func (s *simulated) now() stamp { return stamp{wall: night.Add(s.set + s.up), boot: "b", up: s.up} }

// pass lets time pass, in which the porter marks that it is there.
func (s *simulated) pass(t fataler, d time.Duration) {
	for until := s.up + d; s.up < until; {
		s.up = min(until, s.wrote+markEvery)
		if s.up == s.wrote+markEvery {
			s.mark(false)
			s.write(t, s.pending())
		}
	}
}

// write writes a batch.
func (s *simulated) write(t fataler, b *batch) {
	if b.whole {
		s.file = headerLine()
	}
	var err error
	if s.file, err = encode(b, s.now(), s.file); err != nil {
		t.Fatalf("%v", err)
	}
	s.stored(b)
	if len(b.lines) > 0 {
		s.wrote = s.up
	}
}

// open reads the file.
func (s *simulated) open(t fataler) {
	c := readAll(t, s.file)
	c.onClock(s.now())
	s.state = newState(c)
	s.machine = c.machines[macOf(1)]
	s.mark(false)
	s.write(t, s.pending())
}

func (s *simulated) history() MachineHistory {
	return s.timelines.copy(macOf(1)).history(s.base, s.now().wall)
}

// TestHistoryFromTheFile: after a restart the history is what it was before, with the
// time in which the porter did not run, however the file was written.
func TestHistoryFromTheFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &simulated{state: newState(&content{}), machine: *memoryOf(1)}
		s.file = headerLine()
		s.base = s.now().wall
		s.machine.LastWake, s.machine.Since = machine.LastWake{}, s.base
		s.add(&Record{Memory: &s.machine}, s.base)
		s.write(t, s.pending())
		s.pass(t, briefest)
		pause := rapid.Map(rapid.IntRange(61, 7200), func(n int) time.Duration { return time.Duration(n) * time.Second })
		// restart lets the porter be away, of which the first part may have been its run.
		restart := func(t *rapid.T, lasted, away time.Duration) {
			before := s.history()
			ended := s.now().wall.Add(lasted)
			by := time.Duration(rapid.IntRange(-1, 1).Draw(t, "the clock is set"))*years - s.set
			s.up, s.set = s.up+away, s.set+by
			s.open(t)
			last := &before.Spans[len(before.Spans)-1]
			last.To = s.now().wall.Add(-by)
			if away-lasted >= briefest { // the rest is not known
				unknown := Span{ended, last.To, PhaseUnknown}
				last.To = ended
				before.Spans = append(before.Spans, unknown)
			}
			sameHistory(t, s.history(), before, by)
			s.pass(t, briefest)
		}
		t.Repeat(map[string]func(*rapid.T){
			"live": func(t *rapid.T) {
				s.pass(t, pause.Draw(t, "pause"))
				m := &s.machine
				m.State, m.Since = rapid.SampledFrom(machine.States[:]).Draw(t, "state"), s.now().wall
				if m.State == machine.Waking {
					m.LastWake = wokenBy(m.Since, "10.77.0.9", machine.Served)
				}
				kept := *m
				s.add(&Record{Memory: &kept}, m.Since)
				if rapid.IntRange(0, 3).Draw(t, "the disk is in trouble") > 0 {
					s.write(t, s.pending())
				}
				s.pass(t, briefest)
			},
			"write anew": func(t *rapid.T) { s.write(t, s.everything()) },
			"stop": func(t *rapid.T) {
				s.mark(true)
				s.write(t, s.pending())
				restart(t, 0, pause.Draw(t, "away"))
			},
			"kill": func(t *rapid.T) {
				s.write(t, s.pending())
				restart(t, markEvery-(s.up-s.wrote), 3*pause.Draw(t, "away"))
			},
		})
	})
}

// sameHistory compares the history before the clock was set with the history after.
// It allows for times that are written in seconds.
func sameHistory(t fataler, got, want MachineHistory, set time.Duration) {
	near := func(got, want time.Time) bool { return got.Sub(want.Add(set)).Abs() <= 2*time.Second }
	got.Spans = slices.DeleteFunc(got.Spans, func(s Span) bool { return s.To.Sub(s.From) <= 4*time.Second })
	if len(got.Spans) != len(want.Spans) || len(got.Wakes) != len(want.Wakes) || got.More != want.More {
		t.Fatalf("got  %v\nwant %v", got, want)
	}
	for i, s := range want.Spans {
		if g := got.Spans[i]; g.Phase != s.Phase || !near(g.From, s.From) || !near(g.To, s.To) {
			t.Fatalf("span %v, want %v", g, s)
		}
	}
	for i, w := range want.Wakes {
		g := got.Wakes[i]
		if !near(g.At, w.At) {
			t.Fatalf("wake at %v, want %v", g.At, w.At)
		}
		if g.At = w.At; g != w {
			t.Fatalf("wake %+v, want %+v", g, w)
		}
	}
}

// TestHistoryAcrossClocks: what was written by a clock that was wrong is returned in times of the
// present one.
func TestHistoryAcrossClocks(t *testing.T) {
	at := func(off time.Duration, boot string, up time.Duration) stamp {
		return stamp{wall: night.Add(off + up), boot: boot, up: up}
	}
	asleep, waking := *memoryOf(1), *memoryOf(1)
	asleep.LastWake = machine.LastWake{}
	waking.State = machine.Waking
	for _, c := range []struct {
		name         string
		slept, wakes stamp
		opened       stamp
		phases       []string
		woken        time.Duration
	}{
		{"no clock was set", at(0, "b", time.Hour), at(0, "b", 2*time.Hour), at(0, "b", 3*time.Hour), []string{"asleep 1h0m0s", "waking 1h0m0s"}, time.Hour},
		{"set forwards in the sleep", at(-years, "b", time.Hour), at(0, "b", 2*time.Hour), at(0, "b", 3*time.Hour), []string{"asleep 1h0m0s", "waking 1h0m0s"}, time.Hour},
		{"set back in the absence", at(years, "b", time.Hour), at(years, "b", 2*time.Hour), at(0, "b", 3*time.Hour), []string{"asleep 1h0m0s", "waking 1h0m0s"}, time.Hour},
		{"away for a night", at(0, "b", time.Hour), at(0, "b", 2*time.Hour), at(0, "b", 12*time.Hour), []string{"asleep 1h0m0s", "waking 1h0m0s", "unknown 9h0m0s"}, 10 * time.Hour},
		{"another start, in the past", at(0, "a", time.Hour), at(0, "a", 2*time.Hour), at(-years, "b", time.Hour), []string{"asleep 1h0m0s"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			asleep, waking := asleep, waking
			asleep.Since = c.slept.wall
			waking.Since, waking.LastWake = c.wakes.wall, wokenBy(c.wakes.wall, "10.77.0.9", machine.UnderWay)
			past := pastOf(t, c.opened, []batchAt{{c.slept, line{memory: asleep, carries: newestMemory}}, {c.wakes, line{memory: waking, carries: newestMemory}}})
			now := past.base
			h := past.timelines[macOf(1)].history(past.base, now)
			same(t, "phases", phases(h), c.phases)
			if len(h.Wakes) != 1 || h.Wakes[0].Outcome != machine.Over {
				t.Fatalf("wakes %+v, want one that is over", h.Wakes)
			}
			near(t, "woken ago", now.Sub(h.Wakes[0].At), c.woken)
		})
	}
}

// A new card has the history of the machine, a forgotten machine has none.
func TestHistoryOfANewCard(t *testing.T) {
	dir := t.TempDir()
	check := func(j *Journal, when string) {
		t.Helper()
		if n := len(j.History(macOf(2)).Wakes); n != 2 {
			t.Errorf("%s: %d wakes of the new card, want 2", when, n)
		}
		if h := j.History(macOf(1)); len(h.Spans)+len(h.Wakes) > 0 {
			t.Errorf("%s: the former card has %+v", when, h)
		}
	}
	j, _, _ := opened(t, dir)
	m := *memoryOf(1)
	m.Since = time.Now().Add(-time.Minute)
	for hours := range 2 {
		m.LastWake = wokenBy(time.Now().Add(time.Duration(hours-2)*time.Hour), "10.77.0.9", machine.Served)
		kept := m
		j.Append(Record{Memory: &kept})
		synced(t, j)
	}
	j.Append(Record{Forgotten: macOf(1), Event: Event{Kind: CardReplaced, MAC: macOf(2), By: macOf(1).String()}})
	m.Spec.MAC = macOf(2)
	j.Append(Record{Memory: &m})
	check(j, "at once")
	closed(t, j)
	j, _, _ = opened(t, dir)
	check(j, "after a restart")
	j.Append(Record{Forgotten: macOf(2), Event: Event{Kind: Forgotten, MAC: macOf(2)}})
	if h := j.History(macOf(2)); len(h.Spans)+len(h.Wakes) > 0 {
		t.Errorf("after it was forgotten: %+v", h)
	}
}

// TestTimelineIsWrittenRarely: a wake costs the disk no more than without a history.
// Only a file that is written anew has timelines.
func TestTimelineIsWrittenRarely(t *testing.T) {
	dir := t.TempDir()
	j, _, _ := opened(t, dir)
	const wakes = 50
	for i := range wakes {
		m := *memoryOf(1)
		m.State, m.Since = machine.States[i%len(machine.States)], time.Now()
		m.LastWake = wokenBy(time.Now().Add(time.Duration(i-wakes)*time.Minute), "10.77.0.9", machine.Served)
		j.Append(Record{Memory: &m})
		synced(t, j)
	}
	closed(t, j)
	if n := bytes.Count(contentOf(t, dir), []byte(`"timeline"`)); n > 0 {
		t.Errorf("%d timelines were written", n)
	}
	j, _, _ = opened(t, dir)
	if n := len(j.History(macOf(1)).Wakes); n != wakes {
		t.Errorf("%d wakes after a restart, want %d", n, wakes)
	}
	j.mu.Lock()
	j.state.rewriteAll()
	j.state.changes++
	j.mu.Unlock()
	synced(t, j)
	closed(t, j)
	if n := bytes.Count(contentOf(t, dir), []byte(`"timeline"`)); n != 1 {
		t.Errorf("%d timelines in a file that was written anew, want 1", n)
	}
	j, _, _ = opened(t, dir)
	if n := len(j.History(macOf(1)).Wakes); n != wakes {
		t.Errorf("%d wakes after another one, want %d", n, wakes)
	}
}

// TestWhatTheDiskDidNotTake: memories that were not written have told news together,
// though none of them alone. What passes within one write is not worth a timeline.
func TestWhatTheDiskDidNotTake(t *testing.T) {
	const w, a, s = machine.Waking, machine.Awake, machine.Asleep
	type change struct {
		after time.Duration
		state machine.State
		wakes bool
	}
	for _, c := range []struct {
		name    string
		changes []change
		want    bool
	}{
		{"one wake", []change{{time.Second, w, true}}, false},
		{"one wake, in one write", []change{{time.Second, w, true}, {time.Millisecond, a, false}}, false},
		{"a phase of a minute", []change{{time.Second, w, false}, {briefest, a, false}}, true},
		{"phases of a minute together", []change{{time.Second, w, false}, {briefest / 2, a, false}, {briefest / 2, s, false}}, true},
		{"two wakes", []change{{time.Second, w, true}, {time.Second, w, true}}, true},
		{"two wakes, and what is between", []change{{time.Second, w, true}, {time.Second, a, false}, {time.Second, w, true}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			state, at := newState(&content{base: night}), night
			m := *memoryOf(1)
			m.Since, m.LastWake = night, machine.LastWake{}
			add := func() {
				kept := m
				state.add(&Record{Memory: &kept}, at)
			}
			add()
			state.stored(state.pending())
			for _, next := range c.changes {
				at = at.Add(next.after)
				m.State, m.Since = next.state, at
				if next.wakes {
					m.LastWake = wokenBy(at, "10.77.0.9", machine.UnderWay)
				}
				add()
			}
			if b := state.pending(); len(b.lines) != 1 || (b.lines[0].timeline != nil) != c.want {
				t.Errorf("%d lines, the first with the timeline %v; want that: %v", len(b.lines), b.lines[0].timeline, c.want)
			}
		})
	}
}
