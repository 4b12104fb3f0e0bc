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
func (p *page) toldOf(s *machine.Status, now time.Time) told {
	h := p.house.History(s.MAC)
	t := told{
		Why: whyOf(s, p.house.WakeRules(), now), Strip: stripDays(&h, now), Clients: wakesByClient(&h, now),
	}
	switch {
	case !s.PausedUntil.IsZero():
		until := momentOf(s.PausedUntil, now)
		t.Pause = &pauseCell{Until: &until}
	case s.Agentless || !s.Registered.IsZero():
		t.Pause = new(pauseCell)
	}
	return t
}
