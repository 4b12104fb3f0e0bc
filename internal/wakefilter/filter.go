package wakefilter

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"nightporter/internal/machine"
)

// Rules are the configured conditions for a knock to wake a machine. With the zero
// value every knock wakes.
type Rules struct {
	MinKnocks int           // knocks from one source within Window that wake
	Window    time.Duration // positive where MinKnocks is more than 1
	Quiet     Hours         // hours in which no knock wakes
	Cooldown  time.Duration // after the machine fell asleep: only a knock that opens a connection wakes
}

// None reports whether every knock wakes.
func (r *Rules) None() bool { return r.MinKnocks <= 1 && len(r.Quiet) == 0 && r.Cooldown <= 0 }

// Knock is a knock at one machine.
type Knock struct {
	At    time.Time // by the clock and in the time zone of the operator
	From  netip.Addr
	Opens bool // it opens a connection, so it is not a late packet of an old one
}

// maxKnocks bounds the suppressed knocks that are kept of a machine, at 48 bytes each.
const maxKnocks = 256

// Filter decides about the knocks at one machine. The zero value is that of a machine
// that is not at rest. Its methods are safe for concurrent use.
type Filter struct {
	mu          sync.Mutex
	atRest      bool
	asleepSince time.Time // zero: it still settles
	recent      []knockAt // suppressed knocks, oldest first
	suppressed  [len(machine.Suppressions)]uint64
	ignored     []ignored
	kinds       []ignoredKind // of ignored
}

type knockAt struct {
	from netip.Addr
	at   time.Time
}

// SetAtRest takes the result of machine.Machine.AtRest. A machine that is not at rest
// is awake, or is being woken: the filter suppresses nothing.
func (f *Filter) SetAtRest(since time.Time, atRest bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asleepSince, f.atRest = since, atRest
	if !atRest {
		f.recent = nil
	}
}

// Suppressed returns how many packets did not wake the machine, by reason.
func (f *Filter) Suppressed() [len(machine.Suppressions)]uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.suppressed
}

// Check reports whether a knock must not wake the machine, and why. CountIgnored
// counts such a knock.
func (f *Filter) Check(rules *Rules, k Knock) (why machine.Suppression, suppressed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case !f.atRest:
		return 0, false
	case rules.Quiet.Contains(k.At):
		why = machine.InQuietHours
	case !k.Opens && f.cooling(rules.Cooldown, k.At):
		why = machine.WhileCooling
	case !f.suffices(rules, k):
		why = machine.TooFewKnocks
	default:
		return 0, false
	}
	return why, true
}

// cooling reports whether late packets of connections from before the machine's
// sleep may still arrive.
func (f *Filter) cooling(cooldown time.Duration, at time.Time) bool {
	switch {
	case cooldown <= 0:
		return false
	case f.asleepSince.IsZero():
		return true
	}
	return near(at, f.asleepSince, cooldown)
}

// suffices reports whether the knock, with the earlier ones of its source, is
// enough to wake the machine.
//
// At most maxKnocks are kept. When they are full, any knock wakes: a host that can
// forge that many sources could repeat each of them as well, and an unneeded wake is
// better than a client that waits without result.
func (f *Filter) suffices(rules *Rules, k Knock) bool {
	if rules.MinKnocks <= 1 {
		return true
	}
	knocks, past := 1, 0
	for past < len(f.recent) && !near(k.At, f.recent[past].at, rules.Window) {
		past++
	}
	f.recent = slices.Delete(f.recent, 0, past)
	for _, old := range f.recent {
		if old.from == k.From {
			knocks++
		}
	}
	if knocks >= rules.MinKnocks || len(f.recent) >= maxKnocks {
		return true
	}
	f.recent = append(f.recent, knockAt{k.From, k.At})
	return false
}

// near reports whether two times are less than d apart, in either order: one reader
// goroutine can be behind another, and the clock can be set back.
func near(a, b time.Time, d time.Duration) bool { return a.Sub(b).Abs() < d }
