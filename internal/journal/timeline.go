package journal

import (
	"net/netip"
	"slices"
	"time"
	"unique"

	"nightporter/internal/ether"
	"nightporter/internal/machine"
)

const (
	// kept is the length of a timeline: more than the seven days on the page, of which one
	// may have 25 h.
	kept = 8 * 24 * time.Hour

	// maxSteps bounds the changes of phase of one machine: 50 a day.
	maxSteps = 400

	// MaxWakes bounds the wakes of one machine that are kept one by one.
	MaxWakes = 200

	// maxClient bounds the name of a client, in bytes: an address with its zone fits.
	maxClient = 64

	// maxBundles is a bundle for each day that is kept, and one more.
	maxBundles = 10

	// maxBundled bounds what a file may say of one.
	maxBundled = 1 << 20

	// briefest is the shortest absence of the porter that is kept.
	briefest = time.Minute
)

// step is a change of phase: its time in milliseconds, and in the last two bits the
// phase. A thousand machines have many of them. The time, as all times of a timeline, is
// that since the base of the journal, so that it stays right when the clock on the wall
// is set.
type step int64

func newStep(at time.Duration, p Phase) step { return step(at/time.Millisecond)<<2 | step(p) }

func (s step) at() time.Duration { return time.Duration(s>>2) * time.Millisecond }

func (s step) phase() Phase { return Phase(s & 3) }

// wakeStep is one wake. Most of its texts are those of other wakes as well.
type wakeStep struct {
	at      time.Duration
	trigger machine.Trigger
	outcome machine.Outcome
	client  unique.Handle[string] // an address, or another requester; empty: not known
	service unique.Handle[string] // empty: it was no knock
}

// bundle is how many wakes there was no room for in the day that begins with the
// first of them.
type bundle struct {
	first time.Duration
	wakes int
}

// timeline is the last days of one machine. Elements of its slices are never changed,
// so that a copy of it can be read while it grows.
type timeline struct {
	steps []step     // oldest first; the last one goes on
	wakes []wakeStep // oldest first
	more  []bundle   // older wakes, oldest first
}

// news is what a memory added to a timeline, on the memory's clock.
type news struct {
	phase time.Time // since when a phase lasts; zero: it was known
	wake  time.Time // when a wake began; zero: it was known
}

// take adds the memory of a machine at a moment, and returns what was new in it. Age
// returns how long before at a time of the memory was.
func (t *timeline) take(m *machine.Memory, at time.Duration, age func(time.Time) time.Duration) (n news) {
	since := at
	if !m.Since.IsZero() {
		since = at - min(age(m.Since), kept)
	}
	if t.move(since, phaseOf(m.State)) {
		n.phase = m.Since
	}
	if w := &m.LastWake; !w.At.IsZero() && age(w.At) <= kept && t.wake(at-age(w.At), w) {
		n.wake = w.At
	}
	t.dropBefore(at - kept)
	return n
}

// move goes to a phase, and reports whether the machine was in another one.
func (t *timeline) move(at time.Duration, p Phase) bool {
	if n := len(t.steps); n > 0 {
		last := t.steps[n-1]
		if last.phase() == p {
			return false
		}
		at = max(at, last.at())
	}
	t.steps = append(t.steps, newStep(at, p))
	if len(t.steps) > maxSteps {
		t.steps = coarse(t.steps)
	}
	return true
}

// absent records that the porter did not run. Afterwards the phase is the same as
// before, until a memory changes it.
func (t *timeline) absent(from, to time.Duration) {
	if n := len(t.steps); n > 0 && to-from >= briefest {
		before := t.steps[n-1].phase()
		t.move(from, PhaseUnknown)
		t.move(to, before)
	}
}

// wake adds the last wake, and reports whether it was new. The outcome of a known wake
// is updated. A test is not added.
func (t *timeline) wake(at time.Duration, w *machine.LastWake) bool {
	if w.Test {
		return false
	}
	if n := len(t.wakes); n > 0 {
		switch apart := at - t.wakes[n-1].at; {
		case apart <= -clockSlack:
			return false
		case apart < clockSlack:
			t.settle(w.Outcome)
			return false
		}
		if t.wakes[n-1].outcome == machine.UnderWay {
			t.settle(machine.Over)
		}
	}
	service := ""
	if w.Service.Addr.IsValid() {
		service = w.Service.String()
	}
	t.wakes = append(t.wakes, wakeStep{
		at: at, trigger: w.Trigger, outcome: w.Outcome, client: unique.Make(clientOf(w)), service: unique.Make(service),
	})
	t.bundle()
	return true
}

// settle changes the outcome of the last wake.
func (t *timeline) settle(o machine.Outcome) {
	last := len(t.wakes) - 1
	if last < 0 || t.wakes[last].outcome == o {
		return
	}
	t.wakes = slices.Clone(t.wakes)
	t.wakes[last].outcome = o
}

// bundle only counts the wakes that there is no room for.
func (t *timeline) bundle() {
	for ; len(t.wakes) > MaxWakes; t.wakes = t.wakes[1:] {
		at := t.wakes[0].at
		t.more = slices.Clone(t.more)
		if n := len(t.more); n > 0 && at-t.more[n-1].first < 24*time.Hour {
			t.more[n-1].wakes++
		} else {
			t.more = append(t.more, bundle{at, 1})
		}
	}
}

// dropBefore drops what is of no use any more. The phase at that moment stays.
func (t *timeline) dropBefore(at time.Duration) {
	for len(t.steps) > 1 && t.steps[1].at() <= at {
		t.steps = t.steps[1:]
	}
	for len(t.wakes) > 0 && t.wakes[0].at < at {
		t.wakes = t.wakes[1:]
	}
	for len(t.more) > 0 && t.more[0].first+24*time.Hour < at {
		t.more = t.more[1:]
	}
}

// shift moves the base by d. There must be no copy of t.
func (t *timeline) shift(d time.Duration) {
	for i := range t.steps {
		t.steps[i] = newStep(t.steps[i].at()-d, t.steps[i].phase())
	}
	for i := range t.wakes {
		t.wakes[i].at -= d
	}
	for i := range t.more {
		t.more[i].first -= d
	}
}

// clientOf returns the client of a wake: the address without the port, so that the wakes
// of one client can be counted.
func clientOf(w *machine.LastWake) string {
	if w.Source.IsValid() {
		return w.Source.Addr().String()
	}
	if at, err := netip.ParseAddrPort(w.By); err == nil {
		return at.Addr().String()
	}
	return shortened(w.By, maxClient)
}

// coarse returns fewer steps for the same time: frequent changes are merged into cells
// of 5 min or more.
func coarse(steps []step) []step {
	for width := 5 * time.Minute; ; width *= 2 {
		if c := onGrid(steps, width); len(c) <= maxSteps*3/4 || width >= time.Hour {
			return c
		}
	}
}

// onGrid returns steps at multiples of width only, but for the first and the last. Each
// cell has the phase that takes most of it.
func onGrid(steps []step, width time.Duration) []step {
	last := steps[len(steps)-1]
	var out []step
	add := func(s step) {
		if n := len(out); n == 0 || out[n-1].phase() != s.phase() {
			out = append(out, s)
		}
	}
	i := 0
	for from := max(steps[0].at(), last.at()-kept); from < last.at(); {
		to := from.Truncate(width) // towards zero
		if to <= from {
			to += width
		}
		to = min(to, last.at())
		var share [len(Phases)]time.Duration
		for at := from; at < to; {
			for steps[i+1].at() <= at { // the last one is not before the end
				i++
			}
			end := min(to, steps[i+1].at())
			share[steps[i].phase()] += end - at
			at = end
		}
		add(newStep(from, longest(share)))
		from = to
	}
	add(last)
	return out
}

func longest(share [len(Phases)]time.Duration) Phase {
	most := Phases[0]
	for _, p := range Phases {
		if share[p] > share[most] {
			most = p
		}
	}
	return most
}

// timelines are those of all machines.
type timelines map[ether.MAC]*timeline

// of returns the timeline of a machine, which is empty at first.
func (all timelines) of(mac ether.MAC) *timeline {
	t := all[mac]
	if t == nil {
		t = &timeline{}
		all[mac] = t
	}
	return t
}

// copy returns the timeline of a machine as it is now, or nil.
func (all timelines) copy(mac ether.MAC) *timeline {
	t := all[mac]
	if t == nil {
		return nil
	}
	c := *t
	return &c
}

// forget drops the timeline of a machine. If the event says that its card was replaced
// the new card has it.
func (all timelines) forget(mac ether.MAC, e *Event) {
	if t := all[mac]; t != nil && e != nil && e.Kind == CardReplaced && e.MAC != mac {
		all[e.MAC] = t
	}
	delete(all, mac)
}

// absent records that the porter did not run.
func (all timelines) absent(from, to time.Duration) {
	for _, t := range all {
		t.absent(from, to)
	}
}
