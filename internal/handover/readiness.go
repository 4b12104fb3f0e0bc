package handover

import (
	"net/netip"
	"slices"
	"time"

	"nightporter/internal/machine"
)

const (
	// slowest is the pace of the questions to a service that takes long.
	slowest = 250 * time.Millisecond

	// overdue is how late a question may be without costing a later one its turn:
	// a loop that sleeps wakes to the millisecond (epoll_wait(2)), and turns follow
	// each other faster.
	overdue = 2 * time.Millisecond
)

// Readiness finds out when the services that somebody waits for can take their
// clients. TCP services are asked with a SYN, and are ready with the SYN-ACK.
// A UDP service is ready when the machine answers for its address and does not
// object to a datagram. For an echo request the address is enough. The zero
// value waits for nothing. It is not safe for concurrent use.
type Readiness struct {
	began time.Time
	any   bool // nobody waits for a service: any address will do
	waits []*wait
	ready []machine.Service
	turn  time.Time // no TCP service is asked before

	rations map[netip.Addr]time.Time // of each address: when all of them will be there again
}

// wait is what is known about one service that is not ready.
type wait struct {
	machine.Service
	next     time.Time // of the next question; zero: not before the address answers
	asked    bool      // there was one; TCP only
	accepted time.Time // then a datagram was not objected to; zero: none is out
	objected int       // datagrams that were
}

// Expect waits for services. A later call replaces the list; what is known of a
// service already stays known. Without services, an address that answers is all
// that is waited for.
func (r *Readiness) Expect(now time.Time, services []machine.Service) {
	if r.began.IsZero() {
		r.began = now
	}
	r.any = len(services) == 0
	old := r.waits
	r.waits = nil
	for _, s := range services {
		if slices.Contains(r.ready, s) {
			continue
		}
		if i := slices.IndexFunc(old, func(w *wait) bool { return w.Service == s }); i >= 0 {
			r.waits = append(r.waits, old[i])
			continue
		}
		w := &wait{Service: s}
		if s.Protocol == machine.TCP {
			w.next = now
		}
		r.waits = append(r.waits, w)
	}
}

// Reset waits for nothing, and knows nothing.
func (r *Readiness) Reset() { *r = Readiness{} }

// Done reports whether nothing is waited for any more.
func (r *Readiness) Done() bool { return !r.began.IsZero() && !r.any && len(r.waits) == 0 }

// Next returns when Due has something to say, or the zero time.
func (r *Readiness) Next() time.Time {
	var next time.Time
	for _, w := range r.waits {
		at := w.next
		if w.Protocol == machine.TCP {
			at = later(at, r.turn)
		}
		next = sooner(sooner(next, at), w.accepted)
	}
	return next
}

// Due returns which services have to be asked now, and which are ready because
// their machine has not objected. pace is the least time between two questions
// to TCP services, which take turns: the more of them are waited for, the more
// rarely each is asked. UDP services have their ration.
func (r *Readiness) Due(now time.Time, pace time.Duration) (ask, ready []machine.Service) {
	for _, w := range r.datagrams(now) {
		switch {
		case !w.accepted.IsZero():
			r.open(w)
			ready = append(ready, w.Service)
		case r.spend(now, w):
			w.next, w.accepted = time.Time{}, now.Add(objection)
			ask = append(ask, w.Service)
		}
	}
	for w := r.first(now); w != nil && !now.Before(r.turn); w = r.first(now) {
		due := later(later(r.turn, w.next), now.Add(-overdue))
		r.turn = due.Add(pace)
		w.next, w.asked = now.Add(machine.Pace(now.Sub(r.began), 0, slowest)), true
		ask = append(ask, w.Service)
	}
	return ask, ready
}

// first returns the TCP service that is to be asked before the others, or nil if
// none is due. One that was never asked goes before all that were, so that it
// does not wait for a whole round.
func (r *Readiness) first(now time.Time) (first *wait) {
	for _, w := range r.waits {
		if w.Protocol == machine.TCP && !now.Before(w.next) && (first == nil || w.before(first)) {
			first = w
		}
	}
	return first
}

func (w *wait) before(o *wait) bool {
	if w.asked != o.asked {
		return !w.asked
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
	r.any = false
	for _, w := range slices.Clone(r.waits) {
		switch {
		case w.Addr != ip:
		case w.Protocol == machine.ICMP:
			r.open(w)
			ready = append(ready, w.Service)
		case w.Protocol == machine.UDP && w.next.IsZero() && w.accepted.IsZero():
			w.next = now
		}
	}
	return ready
}

// Accepted says that s has taken a connection. It reports whether somebody
// waited for that.
func (r *Readiness) Accepted(s machine.Service) bool {
	w := r.find(s)
	if w == nil {
		return false
	}
	r.open(w)
	return true
}

func (r *Readiness) find(s machine.Service) *wait {
	if i := slices.IndexFunc(r.waits, func(w *wait) bool { return w.Service == s }); i >= 0 {
		return r.waits[i]
	}
	return nil
}

func (r *Readiness) open(w *wait) {
	r.ready = append(r.ready, w.Service)
	r.waits = slices.DeleteFunc(r.waits, func(o *wait) bool { return o == w })
}
