package wakefilter

import (
	"slices"
	"time"

	"nightporter/internal/machine"
)

const (
	// maxIgnored bounds the kinds of ignored packets that are kept of one machine, and
	// maxIgnoredPorts those of one reason. Packets beyond these bounds share one entry
	// for each reason, which bounds the cost of a port scan.
	maxIgnored      = 32
	maxIgnoredPorts = 8

	// reportInterval is the least time between two reports of one kind. Failed wakes
	// have events of their own, so their interval is longer.
	reportInterval         = time.Hour
	failuresReportInterval = 6 * time.Hour
)

// ignored counts the packets of one kind that did not wake the machine.
type ignored struct {
	machine.Ignored
	reported   time.Time // zero: never
	unreported bool      // packets came after reportInterval
}

// due reports whether packets that come at this time have to be reported.
func (i *ignored) due(at time.Time) bool {
	again := reportInterval
	if i.Reason == machine.AfterFailures {
		again = failuresReportInterval
	}
	return i.reported.IsZero() || !near(at, i.reported, again)
}

// ignoredKind is a reason and a port as one number, which is fast to search for.
type ignoredKind uint32

// others is the protocol of the entry that counts all other ports of a reason.
const others machine.Protocol = 0xff

func kindOf(reason machine.Suppression, port machine.Port) ignoredKind {
	return ignoredKind(reason)<<24 | ignoredKind(port.Protocol)<<16 | ignoredKind(port.Number)
}

func (k ignoredKind) reason() machine.Suppression { return machine.Suppression(k >> 24) }
func (k ignoredKind) others() bool                { return machine.Protocol(k>>16) == others }

// CountIgnored counts a packet that did not wake the machine, by the reason, service
// and source of seen. It reports whether TakeUnreported has something to return.
// Packets for a machine that is not at rest do not count.
func (f *Filter) CountIgnored(seen machine.Ignored, at time.Time) (unreported bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.atRest {
		return false
	}
	f.suppressed[seen.Reason]++
	n := slices.Index(f.kinds, kindOf(seen.Reason, seen.Service.Port))
	if n < 0 {
		n = f.placeFor(seen.Reason, seen.Service.Port, at)
	}
	if f.kinds[n].others() {
		seen.Service = machine.Service{}
	}
	i := &f.ignored[n]
	i.Service, i.Source, i.Last = seen.Service, seen.Source, at
	i.Count++
	i.unreported = i.unreported || i.due(at)
	return i.unreported
}

// placeFor returns the entry of a new kind: a free one, the one of a kind of the same
// reason that had no packet within reportInterval, or the one that all others share.
func (f *Filter) placeFor(reason machine.Suppression, port machine.Port, at time.Time) int {
	rest := slices.Index(f.kinds, kindOf(reason, machine.Port{Protocol: others}))
	if rest >= 0 && near(at, f.ignored[rest].Last, time.Second) {
		return rest // a scan is going on: do not search for each packet
	}
	ports, all, old := 0, 0, -1
	for n, k := range f.kinds {
		switch {
		case k.others():
			continue
		case k.reason() == reason:
			ports++
			if old < 0 && !near(at, f.ignored[n].Last, reportInterval) {
				old = n
			}
		}
		all++
	}
	kind := kindOf(reason, port)
	switch {
	case ports < maxIgnoredPorts && all < maxIgnored:
	case old >= 0:
		f.kinds[old], f.ignored[old] = kind, ignored{Ignored: machine.Ignored{Reason: reason, First: at}}
		return old
	case rest >= 0:
		return rest
	default:
		kind = kindOf(reason, machine.Port{Protocol: others})
	}
	f.kinds = append(f.kinds, kind)
	f.ignored = append(f.ignored, ignored{Ignored: machine.Ignored{Reason: reason, First: at}})
	return len(f.kinds) - 1
}

// TakeUnreported returns the kinds that are due to be reported, and marks them as
// reported at this time.
func (f *Filter) TakeUnreported(at time.Time) []machine.Ignored {
	f.mu.Lock()
	defer f.mu.Unlock()
	var unreported []machine.Ignored
	for n := range f.ignored {
		if i := &f.ignored[n]; i.unreported {
			i.reported, i.unreported = at, false
			unreported = append(unreported, i.Ignored)
		}
	}
	return unreported
}

// Ignored returns the ignored packets by kind, the latest first.
func (f *Filter) Ignored() []machine.Ignored {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.ignored) == 0 {
		return nil
	}
	all := make([]machine.Ignored, len(f.ignored))
	for n, i := range f.ignored {
		all[n] = i.Ignored
	}
	slices.SortStableFunc(all, func(a, b machine.Ignored) int { return b.Last.Compare(a.Last) })
	return all
}
