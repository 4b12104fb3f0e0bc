package handover

import "sync/atomic"

// Budget bounds what the holds that share it may keep, in octets of memory, so
// that a flood to many machines does not fill it. Each hold has a reserve besides,
// of which a flood to other machines takes nothing. So all of them together take
// no more than what is shared and a reserve for each. It is safe for concurrent
// use.
type Budget struct {
	left    atomic.Int64
	reserve int64
}

// NewBudget returns a Budget of so many octets that are shared, and a reserve for
// each Hold.
func NewBudget(shared, reserve int64) *Budget {
	b := &Budget{reserve: reserve}
	b.left.Store(shared)
	return b
}

// draw takes n octets of what is shared, or reports that there are not so many.
// Less than 0 is given back.
func (b *Budget) takeShared(n int64) bool {
	if b.left.Add(-n) >= 0 || n <= 0 {
		return true
	}
	b.left.Add(n)
	return false
}

// account is what one Hold has of a Budget: its reserve first, and what is shared
// beyond that.
type account struct {
	budget *Budget
	used   int64
}

// beyond returns how much of used octets the reserve does not cover.
func (a *account) beyond(used int64) int64 { return max(0, used-a.budget.reserve) }

// take reserves n octets, or reports that there are not so many. Less than 0 is
// given back.
func (a *account) take(n int64) bool {
	if !a.budget.takeShared(a.beyond(a.used+n) - a.beyond(a.used)) {
		return false
	}
	a.used += n
	return true
}

func (a *account) give(n int64) { a.take(-n) }

// fits reports whether n octets could be taken after some are given back.
func (a *account) fits(n, given int64) bool {
	more := a.beyond(a.used-given+n) - a.beyond(a.used)
	return more <= 0 || more <= a.budget.left.Load()
}

// costOf returns how much memory a frame of so many octets takes, at most: with
// what is noted beside it, and an eighth for the allocator, which has a few sizes
// only.
func memoryOf(frameLen int) int64 { return int64(frameLen + frameLen/8 + 320) }

func (p *packet) memory() int64 { return memoryOf(len(p.frame)) }
