package wakefilter

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"nightporter/internal/machine"
)

// Rules are what the operator decided about knocks. Without any of them, which is
// the zero value, every knock wakes.
type Rules struct {
	MinKnocks int           // as many from one source, within Window, wake
	Window    time.Duration // positive where MinKnocks is more than 1
	Quiet     Hours         // when no knock wakes
	Cooldown  time.Duration // once it fell asleep, in which only what opens a connection wakes
}

// None reports whether every knock wakes.
func (r *Rules) None() bool { return r.MinKnocks <= 1 && len(r.Quiet) == 0 && r.Cooldown <= 0 }

// Knock is a knock at one machine.
type Knock struct {
	At    time.Time // by the clock and in the time zone of the operator
	From  netip.Addr
	Opens bool // it opens a connection, and so is no leftover of an old one
}

// remembered is how many knocks at a machine are kept in mind, at 48 octets each.
const remembered = 256

// Judge judges the knocks at one machine. The zero value is for a machine that
// does not rest. Its methods are safe for concurrent use.
type Judge struct {
	mu         sync.Mutex
	rests      bool
	fell       time.Time // asleep; zero: it still settles
	recent     []visit   // that have not sufficed, oldest first
	suppressed [len(machine.Suppressions)]uint64
	ignored    []ignored
	kinds      []ignoredKind // of ignored
}

type visit struct {
	from netip.Addr
	at   time.Time
}

// Follow tells what machine.Rests does. A machine that does not rest is awake, or
// will be whoever else knocks.
func (j *Judge) Follow(fell time.Time, rests bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.fell, j.rests = fell, rests
	if !rests {
		j.recent = nil
	}
}

// Suppressed returns how many packets did not wake, by reason.
func (j *Judge) Suppressed() [len(machine.Suppressions)]uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.suppressed
}

// Suppress tells whether a knock is not to wake the machine, and why. Ignore counts
// those.
func (j *Judge) Suppress(rules *Rules, k Knock) (why machine.Suppression, suppressed bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case !j.rests:
		return 0, false
	case rules.Quiet.Contain(k.At):
		why = machine.InQuietHours
	case !k.Opens && j.cooling(rules.Cooldown, k.At):
		why = machine.WhileCooling
	case !j.suffices(rules, k):
		why = machine.TooFewKnocks
	default:
		return 0, false
	}
	return why, true
}

// cooling reports whether what ended with the machine's sleep may still have
// packets on the way.
func (j *Judge) cooling(cooldown time.Duration, at time.Time) bool {
	switch {
	case cooldown <= 0:
		return false
	case j.fell.IsZero():
		return true
	}
	return near(at, j.fell, cooldown)
}

// suffices reports whether the knock, with those that its source made before,
// is reason enough to wake.
//
// There is room for a limited number of knocks. More within the window are no
// stray scan any more, and whoever invents so many sources could as well use each
// of them often enough: then rather a wake too many than a client who waits in
// vain.
func (j *Judge) suffices(rules *Rules, k Knock) bool {
	if rules.MinKnocks <= 1 {
		return true
	}
	knocks, past := 1, 0
	for past < len(j.recent) && !near(k.At, j.recent[past].at, rules.Window) {
		past++
	}
	j.recent = slices.Delete(j.recent, 0, past)
	for _, v := range j.recent {
		if v.from == k.From {
			knocks++
		}
	}
	if knocks >= rules.MinKnocks || len(j.recent) >= remembered {
		return true
	}
	j.recent = append(j.recent, visit{k.From, k.At})
	return false
}

// near reports whether two moments are less than d apart. Of two readers one may
// be a little behind, and a clock may be set back; neither makes a moment last.
func near(a, b time.Time, d time.Duration) bool { return a.Sub(b).Abs() < d }
