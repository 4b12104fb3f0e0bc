package fair

import (
	"slices"
	"time"

	"nightporter/internal/machine"
)

const (
	// maxIgnored is how many kinds of ignored packets are kept of one machine, and
	// maxIgnoredPorts how many of these of one reason. What is beyond is counted
	// together, once for each reason: a scan of all ports is bounded by that.
	maxIgnored      = 32
	maxIgnoredPorts = 8

	// toldAgain is how often the same kind is told.
	toldAgain = time.Hour
)

// ignored is a kind of packets that did not wake the machine.
type ignored struct {
	machine.Ignored
	told   time.Time // zero: it was not
	untold bool      // packets came when it was not told within the hour
}

// Ignore counts a packet that did not wake the machine, by the reason, the service and
// the source of seen. It reports whether Untold has something to tell. Packets for a
// machine that does not rest do not count: it is awake, or is woken.
func (j *Judge) Ignore(seen machine.Ignored, at time.Time) (untold bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.rests {
		return false
	}
	j.suppressed[seen.Reason]++
	i := j.kindOf(&seen, at)
	i.Service, i.Source, i.Last = seen.Service, seen.Source, at
	i.Count++
	i.untold = i.untold || i.told.IsZero() || !near(at, i.told, toldAgain)
	return i.untold
}

// kindOf returns what counts packets like seen. Where there is no room it is what counts
// all others of the reason; seen then loses its service.
func (j *Judge) kindOf(seen *machine.Ignored, at time.Time) *ignored {
	var old *ignored // of the reason, and not seen for an hour
	kinds := 0
	for n := range j.ignored {
		i := &j.ignored[n]
		switch {
		case i.Reason != seen.Reason:
			continue
		case i.Service.Port == seen.Service.Port && i.Service.Addr.IsValid():
			return i
		case !i.Service.Addr.IsValid():
			continue // the others
		}
		kinds++
		if old == nil && !near(at, i.Last, toldAgain) {
			old = i
		}
	}
	switch {
	case kinds < maxIgnoredPorts && j.kinds < maxIgnored:
		j.kinds++
	case old != nil:
		*old = ignored{Ignored: machine.Ignored{Reason: seen.Reason, First: at}}
		return old
	default:
		seen.Service = machine.Service{}
		if n := slices.IndexFunc(j.ignored, func(i ignored) bool { return i.Reason == seen.Reason && !i.Service.Addr.IsValid() }); n >= 0 {
			return &j.ignored[n]
		}
	}
	j.ignored = append(j.ignored, ignored{Ignored: machine.Ignored{Reason: seen.Reason, First: at}})
	return &j.ignored[len(j.ignored)-1]
}

// Untold returns what was ignored and not told within the hour. It takes that for told.
func (j *Judge) Untold(at time.Time) []machine.Ignored {
	j.mu.Lock()
	defer j.mu.Unlock()
	var untold []machine.Ignored
	for n := range j.ignored {
		if i := &j.ignored[n]; i.untold {
			i.told, i.untold = at, false
			untold = append(untold, i.Ignored)
		}
	}
	return untold
}

// Ignored returns what was ignored lately, the latest first.
func (j *Judge) Ignored() []machine.Ignored {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.ignored) == 0 {
		return nil
	}
	all := make([]machine.Ignored, len(j.ignored))
	for n, i := range j.ignored {
		all[n] = i.Ignored
	}
	slices.SortStableFunc(all, func(a, b machine.Ignored) int { return b.Last.Compare(a.Last) })
	return all
}
