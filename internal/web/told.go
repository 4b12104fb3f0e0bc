package web

import (
	"time"

	"nightporter/internal/machine"
)

// told is what is said of a machine in its details beside its status.
type told struct {
	Why     []whyLine
	Strip   []stripDay
	Clients []clientWakes
	Pause   *pauseCell // nil: it cannot be paused
}

// toldOf returns what is said of a machine.
func (p *page) toldOf(s *machine.Status, rules machine.WakeRules, now time.Time) told {
	h := p.house.History(s.MAC)
	days := h.Days(now)
	t := told{Why: whyOf(s, rules, now), Strip: stripDays(days[:], now.Location()), Clients: wakesByClient(days[:])}
	switch {
	case !s.PausedUntil.IsZero():
		until := momentOf(s.PausedUntil, now)
		t.Pause = &pauseCell{Until: &until}
	case s.Agentless || !s.Registered.IsZero():
		t.Pause = new(pauseCell)
	}
	return t
}
