package lab

import "time"

// roundGap is the longest pause between two magic packets of one round.
const roundGap = 100 * time.Millisecond

// hearing is what a network card misses of the magic packets to its machine.
type hearing struct {
	deafUntil time.Time
	last      time.Time // the latest magic packet
	rounds    int       // of magic packets since the machine fell asleep
}

// Deafen has the card of a sleeping machine miss every magic packet for a while,
// as many cards do in the first seconds after the power went.
func (m *Machine) Deafen(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hearing.deafUntil = time.Now().Add(d)
}

// misses notes a magic packet and reports whether the card misses it. With half it
// hears only every second round. The caller holds m.mu.
func (h *hearing) misses(now time.Time, half bool) bool {
	if now.Sub(h.last) > roundGap {
		h.rounds++
	}
	h.last = now
	return now.Before(h.deafUntil) || half && h.rounds%2 == 1
}
