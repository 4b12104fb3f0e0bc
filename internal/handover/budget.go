package handover

import "sync/atomic"

// Budget bounds the memory of the holds that share it, in bytes, against a flood to many
// machines. Each hold has a reserve besides, which a flood to other machines does not use.
// All together take at most the shared part and one reserve each. It is safe for
// concurrent use.
type Budget struct {
	left    atomic.Int64
	reserve int64
}

// NewBudget returns a Budget of shared bytes, and reserve bytes for each Hold.
func NewBudget(shared, reserve int64) *Budget {
	b := &Budget{reserve: reserve}
	b.left.Store(shared)
	return b
}

// takeShared takes n bytes of the shared part, or returns false if there are fewer. A
// negative n is given back.
func (b *Budget) takeShared(n int64) bool {
	if b.left.Add(-n) >= 0 || n <= 0 {
		return true
	}
	b.left.Add(n)
	return false
}

// account is what one Hold uses of a Budget: first its reserve, then the shared part.
type account struct {
	budget *Budget
	used   int64
}

// beyond returns how many of used bytes the reserve does not cover.
func (a *account) beyond(used int64) int64 { return max(0, used-a.budget.reserve) }

// take reserves n bytes, or returns false if there are fewer. A negative n is given back.
func (a *account) take(n int64) bool {
	if !a.budget.takeShared(a.beyond(a.used+n) - a.beyond(a.used)) {
		return false
	}
	a.used += n
	return true
}

func (a *account) give(n int64) { a.take(-n) }

// fits reports whether n bytes could be taken after given bytes are given back.
func (a *account) fits(n, given int64) bool {
	more := a.beyond(a.used-given+n) - a.beyond(a.used)
	return more <= 0 || more <= a.budget.left.Load()
}

// memoryOf returns the most memory, in bytes, that a frame of that length takes: with its
// packet, and an eighth for the size classes of the allocator.
func memoryOf(frameLen int) int64 { return int64(frameLen + frameLen/8 + 320) }

func (p *packet) memory() int64 { return memoryOf(len(p.frame)) }
