package journal

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"nightporter/internal/hosttest"
	"nightporter/internal/machine"
)

const day = 24 * time.Hour

// wokenBy is a wake at that time.
func wokenBy(at time.Time, client string, outcome machine.Outcome) machine.LastWake {
	return machine.LastWake{
		At: at, Trigger: machine.ByTCP, Source: netip.AddrPortFrom(netip.MustParseAddr(client), 40000), Outcome: outcome,
		Service: machine.Service{Addr: netip.MustParseAddr("10.77.0.20"), Port: machine.Port{Protocol: machine.TCP, Number: 22}},
	}
}

// phases are those of a history, with their lengths, to the second.
func phases(h MachineHistory) (text []string) {
	for _, s := range h.Spans {
		text = append(text, fmt.Sprint(s.Phase, " ", s.To.Sub(s.From).Round(time.Second)))
	}
	return text
}

// recorder takes in memories of one machine as time passes.
type recorder struct {
	timeline
	at  time.Duration
	mem machine.Memory
}

// be has the machine go into a state, and stay there.
func (r *recorder) be(s machine.State, stays time.Duration) *recorder {
	r.mem.State, r.mem.Since = s, night.Add(r.at)
	r.write()
	r.at += stays
	return r
}

func (r *recorder) write() {
	r.take(&r.mem, r.at, func(t time.Time) time.Duration { return night.Add(r.at).Sub(t) })
}

func (r *recorder) history() MachineHistory { return r.timeline.history(night, night.Add(r.at)) }

func TestPhasesOfALife(t *testing.T) {
	r := new(recorder).be(machine.Awake, time.Hour).be(machine.Settling, time.Minute).be(machine.Asleep, 2*time.Hour).
		be(machine.Waking, 30*time.Second).be(machine.Arriving, 20*time.Second).be(machine.Awake, time.Hour)
	same(t, "phases", phases(r.history()), []string{"awake 1h1m0s", "asleep 2h0m0s", "waking 50s", "awake 1h0m0s"})
	r.absent(r.at-30*time.Minute, r.at)
	r.at += time.Minute
	r.absent(r.at-briefest/2, r.at) // too short to be shown
	same(t, "phases", phases(r.history()),
		[]string{"awake 1h1m0s", "asleep 2h0m0s", "waking 50s", "awake 30m0s", "unknown 30m0s", "awake 1m0s"})
	r.at += 30 * day
	same(t, "phases of later", phases(r.history()), []string{"awake 192h0m0s"})
	if h := new(recorder).history(); len(h.Spans)+len(h.Wakes) > 0 {
		t.Errorf("of a machine that was never seen: %+v", h)
	}
}

func TestWakesOfALife(t *testing.T) {
	r := new(recorder).be(machine.Asleep, time.Hour)
	wake := func(w machine.LastWake) { // with a step of the clock that is none
		r.mem.LastWake = w
		r.write()
	}
	first := night.Add(r.at)
	wake(wokenBy(first, "10.77.0.9", machine.UnderWay))
	wake(wokenBy(first.Add(clockSlack/2), "10.77.0.9", machine.Served))
	before := r.history()
	r.at += time.Hour
	second := night.Add(r.at)
	wake(machine.LastWake{At: second, Trigger: machine.ByAPI, By: "[fd77::9%eth0]:4711", Outcome: machine.UnderWay})
	wake(wokenBy(first, "10.77.0.9", machine.GivenUp)) // late
	r.at += time.Hour
	wake(machine.LastWake{At: night.Add(r.at), Trigger: machine.ByAPI, By: "10.77.0.9:1", Outcome: machine.Served, Test: true})
	r.at += time.Hour
	third := night.Add(r.at)
	wake(machine.LastWake{At: third, Trigger: machine.BySchedule, By: "the schedule", Outcome: machine.GivenUp})
	service := "10.77.0.20:22/tcp"
	want := []Wake{
		{At: first, Trigger: machine.ByTCP, Client: "10.77.0.9", Service: service, Outcome: machine.Served},
		{At: second, Trigger: machine.ByAPI, Client: "fd77::9%eth0", Outcome: machine.Over},
		{At: third, Trigger: machine.BySchedule, Client: "the schedule", Outcome: machine.GivenUp},
	}
	same(t, "wakes", r.history().Wakes, want)
	same(t, "wakes before", before.Wakes, want[:1])
	r.at = third.Sub(night) + kept - time.Minute
	same(t, "wakes of later", r.history().Wakes, want[2:])
}

// More wakes than there is room for are counted, until they are too old.
func TestTooManyWakes(t *testing.T) {
	r := new(recorder).be(machine.Asleep, 0)
	const every, all = 20 * time.Minute, 500 // about a week
	for range all {
		r.at += every
		r.mem.LastWake = wokenBy(night.Add(r.at), "10.77.0.9", machine.Served)
		r.write()
	}
	h := r.history()
	if len(h.Wakes) != MaxWakes || h.More != all-MaxWakes || !h.Wakes[MaxWakes-1].At.Equal(night.Add(r.at)) {
		t.Errorf("%d wakes and %d more, the last %v before", len(h.Wakes), h.More, night.Add(r.at).Sub(h.Wakes[len(h.Wakes)-1].At))
	}
	r.at += 4 * day
	if h := r.history(); len(h.Wakes) != MaxWakes || h.More < 100 || h.More > 300-72 {
		t.Errorf("four days later %d wakes and %d more", len(h.Wakes), h.More)
	}
	r.at += 6 * day
	if h := r.history(); len(h.Wakes)+h.More > 0 {
		t.Errorf("ten days later %d wakes and %d more", len(h.Wakes), h.More)
	}
}

// A machine that is up and down all day is still reported, and its sleeps are as they
// were.
func TestTooManyPhases(t *testing.T) {
	r := new(recorder)
	for range 8 {
		r.be(machine.Asleep, 9*time.Hour)
		for range 180 { // two thirds of it awake
			r.be(machine.Awake, 3*time.Minute+20*time.Second).be(machine.Asleep, 100*time.Second)
		}
	}
	if n := len(r.steps); n > maxSteps {
		t.Fatalf("%d steps", n)
	}
	h := r.history()
	var slept time.Duration
	for _, s := range h.Spans {
		if s.Phase == PhaseAsleep {
			slept += min(s.To.Sub(s.From), 9*time.Hour)
		}
	}
	for d := range 8 {
		at := night.Add(time.Duration(d)*day + 4*time.Hour)
		i := slices.IndexFunc(h.Spans, func(s Span) bool { return s.From.Before(at) && s.To.After(at) })
		if i < 0 || h.Spans[i].Phase != PhaseAsleep {
			t.Errorf("night %d is lost: %v", d, h.Spans)
		}
	}
	if slept < 8*8*time.Hour || slept > 8*15*time.Hour {
		t.Errorf("asleep for %v", slept)
	}
}

// TestTimeline: whatever happens, a timeline is within its bounds and tells what
// happened; what a copy of it tells does not change.
func TestTimeline(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := new(recorder)
		type change struct {
			at    time.Duration
			phase Phase
		}
		var truth []change
		var copied timeline
		var told string
		become := func(p Phase) {
			if n := len(truth); n == 0 || truth[n-1].phase != p {
				truth = append(truth, change{r.at, p})
			}
		}
		pause := rapid.Map(rapid.IntRange(0, 1<<20), func(n int) time.Duration { return time.Duration(n*n/1e7) * time.Second })
		t.Repeat(map[string]func(*rapid.T){
			"be": func(t *rapid.T) {
				s := rapid.SampledFrom(machine.States[:]).Draw(t, "state")
				become(phaseOf(s))
				r.be(s, pause.Draw(t, "pause"))
			},
			"wake": func(t *rapid.T) {
				r.mem.LastWake = wokenBy(night.Add(r.at), "10.77.0.9", rapid.SampledFrom(machine.Outcomes[:]).Draw(t, "outcome"))
				if r.mem.Since.IsZero() {
					become(phaseOf(r.mem.State))
				}
				r.write()
			},
			"many": func(*rapid.T) {
				for range 2 * maxSteps {
					become(PhaseWaking)
					r.be(machine.Waking, time.Second)
					become(PhaseAwake)
					r.mem.LastWake = wokenBy(night.Add(r.at), "10.77.0.9", machine.Served)
					r.be(machine.Awake, time.Minute)
				}
			},
			"absent": func(t *rapid.T) {
				from := r.at
				r.at += briefest + pause.Draw(t, "pause")
				if n := len(truth); n > 0 {
					was := truth[n-1].phase
					truth = append(truth, change{from, PhaseUnknown}, change{r.at, was})
				}
				r.absent(from, r.at)
			},
			"copy": func(*rapid.T) { copied, told = r.timeline, fmt.Sprintf("%+v", r.timeline) },
			"": func(t *rapid.T) {
				if now := fmt.Sprintf("%+v", copied); told != "" && now != told {
					t.Fatalf("a copy became %s, was %s", now, told)
				}
				checkTimeline(t, &r.timeline)
				h := r.history()
				checkHistory(t, h, night.Add(r.at))
				if len(truth) > maxSteps {
					return // rounded
				}
				for _, s := range h.Spans {
					middle := s.From.Add(s.To.Sub(s.From) / 2).Sub(night)
					i := len(truth) - 1
					for ; truth[i].at > middle; i-- {
					}
					if truth[i].phase != s.Phase {
						t.Fatalf("%v at %v, want %v", s.Phase, middle, truth[i].phase)
					}
				}
			},
		})
	})
}

// fataler is a test, or what rapid has in its place.
type fataler interface{ Fatalf(string, ...any) }

// checkTimeline checks the bounds of a timeline.
func checkTimeline(t fataler, tl *timeline) {
	inOrder := slices.IsSortedFunc(tl.steps, func(a, b step) int { return cmp.Compare(a.at(), b.at()) }) &&
		slices.IsSortedFunc(tl.wakes, func(a, b wakeStep) int { return cmp.Compare(a.at, b.at) })
	if len(tl.steps) > maxSteps || len(tl.wakes) > MaxWakes || len(tl.more) > maxBundles || !inOrder {
		t.Fatalf("%d steps, %d wakes, %d bundles, in order: %v", len(tl.steps), len(tl.wakes), len(tl.more), inOrder)
	}
}

// checkHistory checks that spans are next to each other and end now.
func checkHistory(t fataler, h MachineHistory, now time.Time) {
	for i, s := range h.Spans {
		switch {
		case !s.From.Before(s.To), now.Sub(s.From) > kept:
			t.Fatalf("span %d: %v", i, s)
		case i == len(h.Spans)-1:
			if !s.To.Equal(now) {
				t.Fatalf("the last span ends %v before now", now.Sub(s.To))
			}
		case !s.To.Equal(h.Spans[i+1].From), s.Phase == h.Spans[i+1].Phase:
			t.Fatalf("spans %v and %v", s, h.Spans[i+1])
		}
	}
	for i, w := range h.Wakes {
		if now.Sub(w.At) > kept || w.At.After(now) || i > 0 && w.At.Before(h.Wakes[i-1].At) {
			t.Fatalf("wake %d: %+v", i, w)
		}
	}
}

// A clock that is set while the porter works moves what was before it.
func TestHistoryWhenTheClockIsSet(t *testing.T) {
	for _, by := range []time.Duration{years, -years} {
		base := time.Now()
		var tl timeline
		now := base
		take := func(m *machine.Memory) {
			tl.take(m, now.Sub(base), func(t time.Time) time.Duration { return now.Sub(t) })
		}
		m := machine.Memory{State: machine.Asleep, Since: now}
		take(&m)
		now = hosttest.Set(now.Add(time.Hour), by)
		m.State, m.Since, m.LastWake = machine.Waking, now, wokenBy(now, "10.77.0.9", machine.UnderWay)
		take(&m)
		now = now.Add(time.Minute)
		h := tl.history(base, now)
		same(t, "phases", phases(h), []string{"asleep 1h0m0s", "waking 1m0s"})
		if got := now.Round(0).Sub(h.Spans[0].From.Round(0)); got != 61*time.Minute {
			t.Errorf("set by %v: it began %v ago", by, got)
		}
		near(t, "woken ago", now.Round(0).Sub(h.Wakes[0].At.Round(0)), time.Minute)
	}
}
