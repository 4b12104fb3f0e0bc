package handover

import (
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/machine"
)

const (
	// slowest is the pace of the questions to a service that takes long.
	slowestPace = 250 * time.Millisecond

	// overdue is how late a question may be without costing a later one its turn:
	// a loop that sleeps wakes to the millisecond (epoll_wait(2)), and turns follow
	// each other faster.
	turnSlack = 2 * time.Millisecond

	// recheck is the pause between two checks of a service by a connection of ours.
	checkPause = 250 * time.Millisecond
)

// Readiness finds out when the services that somebody waits for can take their
// clients. TCP services are asked with a SYN, and are ready with the SYN-ACK, unless
// they are to show more (machine.Ready). A UDP service is asked with the datagram of
// a client that waits, and is ready when the machine does not object to it. For an
// echo request an address that answers is enough. The zero value waits for nothing.
// It is not safe for concurrent use.
type Readiness struct {
	began      time.Time
	anyAddress bool // nobody waits for a service: any address will do
	pending    []*serviceState
	ready      []machine.Service
	turn       time.Time // no TCP service is asked before

	unreachables map[netip.Addr]time.Time // of each client: when all objections to it will be there again
}

// wait is what is known about one service that is not ready.
type serviceState struct {
	machine.Service
	rule            machine.Ready
	next            time.Time  // of the next question; zero: none before something happens
	probed          bool       // there was one; TCP only
	accepted        bool       // it has accepted a connection, and is to show more
	readyAt         time.Time  // then it is, if nothing happens before; zero: not by itself
	client          netip.Addr // whose datagram was sent last
	refusals        int        // datagrams that were refused
	withoutDatagram int        // times that there was no datagram to ask with
}

// Due is what has to be done about services at a moment.
type Due struct {
	Probe []machine.Service // with a SYN, or with the datagram of a client
	Check []machine.Service // with a connection of our own; Checked has to follow for each
	Ready []machine.Service // they can take their clients
}

// Asker returns the client whose datagram a UDP service would be asked with.
type ProbeClient func(machine.Service) (client netip.Addr, ok bool)

// Expect waits for services of the machine of spec. A later call replaces the list;
// what is known of a service already stays known. Without services, an address that
// answers is all that is waited for.
func (r *Readiness) Expect(now time.Time, spec *machine.Spec, services []machine.Service) {
	if r.began.IsZero() {
		r.began = now
	}
	r.anyAddress = len(services) == 0
	old := r.pending
	r.pending = nil
	for _, s := range services {
		if slices.Contains(r.ready, s) {
			continue
		}
		if i := slices.IndexFunc(old, func(w *serviceState) bool { return w.Service == s }); i >= 0 {
			r.pending = append(r.pending, old[i])
			continue
		}
		w := &serviceState{Service: s, rule: spec.Settings(s).Ready}
		if s.Protocol == machine.TCP {
			w.next = now
		}
		r.pending = append(r.pending, w)
	}
}

// Reset waits for nothing, and knows nothing.
func (r *Readiness) Reset() { *r = Readiness{} }

// Done reports whether nothing is waited for any more.
func (r *Readiness) Done() bool { return !r.began.IsZero() && !r.anyAddress && len(r.pending) == 0 }

// Began returns when the present waiting began. Each has its own moment.
func (r *Readiness) Began() time.Time { return r.began }

// Next returns when Due has something to say, or the zero time.
func (r *Readiness) Next() time.Time {
	var next time.Time
	for _, w := range r.pending {
		at := w.next
		if w.probedBySYN() {
			at = later(at, r.turn)
		}
		next = sooner(sooner(next, at), w.readyAt)
	}
	return next
}

// opens reports whether the next question to w is a SYN.
func (w *serviceState) probedBySYN() bool { return w.Protocol == machine.TCP && !w.accepted }

// Due returns what has to be done now. pace is the least time between two questions
// to TCP services, which take turns: the more of them are waited for, the more
// rarely each is asked. UDP services have their ration.
func (r *Readiness) Due(now time.Time, pace time.Duration, asker ProbeClient) (d Due) {
	for _, w := range r.others(now) {
		switch {
		case !w.readyAt.IsZero():
			r.open(w)
			d.Ready = append(d.Ready, w.Service)
		case w.accepted:
			w.next = time.Time{}
			d.Check = append(d.Check, w.Service)
		default:
			r.probeUDP(now, w, asker, &d)
		}
	}
	for w := r.first(now); w != nil && !now.Before(r.turn); w = r.first(now) {
		due := later(later(r.turn, w.next), now.Add(-turnSlack))
		r.turn = due.Add(pace)
		w.next, w.probed = now.Add(machine.Pace(now.Sub(r.began), 0, slowestPace)), true
		d.Probe = append(d.Probe, w.Service)
	}
	return d
}

// others returns the services for which something else than a SYN is due.
func (r *Readiness) others(now time.Time) (due []*serviceState) {
	for _, w := range r.pending {
		at := sooner(w.next, w.readyAt) // one of them is zero
		if !(w.probedBySYN() && w.readyAt.IsZero()) && !at.IsZero() && !now.Before(at) {
			due = append(due, w)
		}
	}
	return due
}

// first returns the TCP service that is to be asked before the others, or nil if
// none is due. One that was never asked goes before all that were, so that it
// does not wait for a whole round.
func (r *Readiness) first(now time.Time) (first *serviceState) {
	for _, w := range r.pending {
		if w.probedBySYN() && !w.next.IsZero() && !now.Before(w.next) && (first == nil || w.before(first)) {
			first = w
		}
	}
	return first
}

func (w *serviceState) before(o *serviceState) bool {
	if w.probed != o.probed {
		return !w.probed
	}
	return w.next.Before(o.next)
}

// sooner returns the earlier of two times of which either may be zero: never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Answered says that the machine answers for ip. It returns the services that
// are ready by that.
func (r *Readiness) Answered(now time.Time, ip netip.Addr) (ready []machine.Service) {
	r.anyAddress = false
	for _, w := range slices.Clone(r.pending) {
		switch {
		case w.Addr != ip || w.Protocol == machine.TCP || !w.next.IsZero() || !w.readyAt.IsZero():
		case w.rule.By == machine.ByDelay:
			w.readyAt = now.Add(w.rule.Delay)
		case w.Protocol == machine.ICMP:
			r.open(w)
			ready = append(ready, w.Service)
		default:
			w.next = now
		}
	}
	return ready
}

// Accepted says that s has taken a connection. It reports whether somebody waited
// for that, and no more has to be shown.
func (r *Readiness) Accepted(now time.Time, s machine.Service) bool {
	w := r.find(s)
	if w == nil || w.accepted {
		return false
	}
	switch w.rule.By {
	case machine.ByDefault:
		r.open(w)
		return true
	case machine.ByDelay:
		w.next, w.readyAt = time.Time{}, now.Add(w.rule.Delay)
	default:
		w.next = now
	}
	w.accepted = true
	return false
}

// Checked tells what came of a check of s in the waiting that began then. It reports
// whether s is ready by that.
func (r *Readiness) Checked(now, began time.Time, s machine.Service, passed bool) bool {
	w := r.find(s)
	if w == nil || !w.accepted || !w.next.IsZero() || !r.began.Equal(began) {
		return false
	}
	if !passed {
		w.next = now.Add(checkPause)
		return false
	}
	r.open(w)
	return true
}

func (r *Readiness) find(s machine.Service) *serviceState {
	if i := slices.IndexFunc(r.pending, func(w *serviceState) bool { return w.Service == s }); i >= 0 {
		return r.pending[i]
	}
	return nil
}

func (r *Readiness) open(w *serviceState) {
	r.ready = append(r.ready, w.Service)
	r.pending = slices.DeleteFunc(r.pending, func(o *serviceState) bool { return o == w })
}
