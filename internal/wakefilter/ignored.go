package wakefilter

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

	// toldAgain is how often the same kind is told. Failed wakes were told themselves, and a
	// machine that is pinged for a day must not fill the journal.
	toldAgain         = time.Hour
	failuresToldAgain = 6 * time.Hour
)

// ignored is a kind of packets that did not wake the machine.
type ignored struct {
	machine.Ignored
	told   time.Time // zero: it was not
	untold bool      // packets came when it was due to be told
}

// due reports whether packets that come now are to be told.
func (i *ignored) due(at time.Time) bool {
	again := toldAgain
	if i.Reason == machine.AfterFailures {
		again = failuresToldAgain
	}
	return i.told.IsZero() || !near(at, i.told, again)
}

// ignoredKind is a reason and a port, in the form in which they are searched for.
type ignoredKind uint32

// others is the protocol of what counts all other ports of a reason.
const others machine.Protocol = 0xff

func kindOf(reason machine.Suppression, port machine.Port) ignoredKind {
	return ignoredKind(reason)<<24 | ignoredKind(port.Protocol)<<16 | ignoredKind(port.Number)
}

func (k ignoredKind) reason() machine.Suppression { return machine.Suppression(k >> 24) }
func (k ignoredKind) others() bool                { return machine.Protocol(k>>16) == others }

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
	n := slices.Index(j.kinds, kindOf(seen.Reason, seen.Service.Port))
	if n < 0 {
		n = j.roomFor(seen.Reason, seen.Service.Port, at)
	}
	if j.kinds[n].others() {
		seen.Service = machine.Service{}
	}
	i := &j.ignored[n]
	i.Service, i.Source, i.Last = seen.Service, seen.Source, at
	i.Count++
	i.untold = i.untold || i.due(at)
	return i.untold
}

// roomFor returns where packets of another kind count: at a place of their own, at that
// of a kind of the reason that did not come for an hour, or at that of all others.
func (j *Judge) roomFor(reason machine.Suppression, port machine.Port, at time.Time) int {
	rest := slices.Index(j.kinds, kindOf(reason, machine.Port{Protocol: others}))
	if rest >= 0 && near(at, j.ignored[rest].Last, time.Second) {
		return rest // a scan goes on, and is not to cost a search for each packet
	}
	ports, all, old := 0, 0, -1
	for n, k := range j.kinds {
		switch {
		case k.others():
			continue
		case k.reason() == reason:
			ports++
			if old < 0 && !near(at, j.ignored[n].Last, toldAgain) {
				old = n
			}
		}
		all++
	}
	kind := kindOf(reason, port)
	switch {
	case ports < maxIgnoredPorts && all < maxIgnored:
	case old >= 0:
		j.kinds[old], j.ignored[old] = kind, ignored{Ignored: machine.Ignored{Reason: reason, First: at}}
		return old
	case rest >= 0:
		return rest
	default:
		kind = kindOf(reason, machine.Port{Protocol: others})
	}
	j.kinds = append(j.kinds, kind)
	j.ignored = append(j.ignored, ignored{Ignored: machine.Ignored{Reason: reason, First: at}})
	return len(j.kinds) - 1
}

// Untold returns what was ignored and is to be told. It takes that for told.
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
